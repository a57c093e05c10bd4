"""The end of a loop: what stands in the database about it, and its deletion, in one transaction of the caller's."""

from __future__ import annotations

from typing import Any

from labelloop.store.database import Conn

_OUTPUTS = "in (select id from outputs where loop = %(loop)s)"
_RUNS = "in (select id from retrain_runs where loop = %(loop)s)"
_BATCHES = "in (select id from batches where loop = %(loop)s)"
# What points to a row goes before it.
ROWS = {
    "shadow_items": f"run_id {_RUNS}",
    "decisions": f"run_id {_RUNS}",
    "run_items": f"run_id {_RUNS}",
    "retrain_runs": "loop = %(loop)s",
    "promotions": "loop = %(loop)s",
    "version_descriptions": "version_id in (select id from model_versions where loop = %(loop)s)",
    "model_versions": "loop = %(loop)s",
    "answers": "loop = %(loop)s",
    "feedback": f"model_output_id {_OUTPUTS}",
    "doubts": "loop = %(loop)s",
    "unreadable": "loop = %(loop)s",
    "annotation_versions": "instance = any(%(instances)s)",
    "reviewers": "instance = any(%(instances)s)",
    "tasks": "loop = %(loop)s",
    "pool": "loop = %(loop)s",
    "batch_items": f"batch_id {_BATCHES}",
    "output_events": f"output_id {_OUTPUTS}",
    "outputs": "loop = %(loop)s",
    "batches": "loop = %(loop)s",
    "pull_requests": "loop = %(loop)s",
    "projects": "loop = %(loop)s",
    "procrastinate_jobs": "args ->> 'loop' = %(loop)s and status = 'todo'",
}
"""Every table that holds rows of a loop, and which of its rows those are."""


def counts(conn: Conn, loop: str) -> dict[str, int]:
    """How many rows each table holds of the loop; tables that hold none are left out."""
    about = _about(conn, loop)
    found = {}
    for table, where in ROWS.items():
        row = conn.execute(f"select count(*) as n from {table} where {where}", about).fetchone()
        if row and row["n"]:
            found[table] = int(row["n"])
    return found


def versions(conn: Conn, loop: str) -> list[str]:
    """Ids of its model versions, each the name of a file."""
    rows = conn.execute("select id from model_versions where loop = %(loop)s order by id", {"loop": loop})
    return [row["id"] for row in rows]


def remove(conn: Conn, loop: str) -> dict[str, int] | None:
    """Delete all of it but the loop's own row, which from then on says when; returns how many rows of each table.

    None, and nothing is deleted, where the loop is not archived, or is removed already.
    """
    # Until the commit nobody can write a row that points to the loop.
    held = conn.execute(
        "select 1 from loops where name = %(loop)s and archived_at is not null and removed_at is null for update",
        {"loop": loop},
    ).fetchone()
    if held is None:
        return None
    conn.execute("select set_config('labelloop.removes_loop', %s, true)", [loop])
    conn.execute("set local statement_timeout = 0")  # a large loop takes minutes
    about = _about(conn, loop)
    deleted = {
        table: conn.execute(f"delete from {table} where {where}", about).rowcount for table, where in ROWS.items()
    }
    conn.execute("update loops set removed_at = now() where name = %(loop)s", {"loop": loop})
    return {table: n for table, n in deleted.items() if n}


def _about(conn: Conn, loop: str) -> dict[str, Any]:
    """The loop, and every project of Label Studio that it ever stood in."""
    rows = conn.execute(
        """
        select instance from projects where loop = %(loop)s
        union select instance from tasks where loop = %(loop)s
        union select a.instance from annotation_versions a join outputs o on o.id = a.output_id where o.loop = %(loop)s
        """,
        {"loop": loop},
    )
    return {"loop": loop, "instances": [row["instance"] for row in rows]}
