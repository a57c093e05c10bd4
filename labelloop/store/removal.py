"""Removal of a loop: its rows in all tables, and their deletion in one transaction of the caller."""

from __future__ import annotations

from labelloop.store.database import Conn

_OUTPUTS = "in (select id from outputs where loop = %(loop)s)"
_RUNS = "in (select id from retrain_runs where loop = %(loop)s)"
_BATCHES = "in (select id from batches where loop = %(loop)s)"
# A table comes before the tables that it refers to.
ROWS = {
    "deliveries": "loop = %(loop)s",
    "callbacks": "loop = %(loop)s",
    "assessments": "loop = %(loop)s",
    "accepted_items": f"run_id {_RUNS}",
    "accepted": "loop = %(loop)s",
    "certificates": "loop = %(loop)s",
    "promise_tests": "loop = %(loop)s",
    "told_answers": f"output_id {_OUTPUTS}",
    "shadow_items": f"run_id {_RUNS}",
    "decisions": f"run_id {_RUNS}",
    "run_items": f"run_id {_RUNS}",
    "access_tokens": "loop = %(loop)s",
    "retrain_runs": "loop = %(loop)s",
    "promotions": "loop = %(loop)s",
    "version_descriptions": "version_id in (select id from model_versions where loop = %(loop)s)",
    "model_versions": "loop = %(loop)s",
    "adjudications": "loop = %(loop)s",
    "answers": "loop = %(loop)s",
    "person_quality": "estimate_id in (select id from quality_estimates where loop = %(loop)s)",
    "quality_estimates": "loop = %(loop)s",
    "feedback_changes": "loop = %(loop)s",
    "feedback": f"model_output_id {_OUTPUTS}",
    "doubts": "loop = %(loop)s",
    "unreadable": "loop = %(loop)s",
    "exclusions": "loop = %(loop)s",
    "alerts": "loop = %(loop)s",
    "assignments": "loop = %(loop)s",
    "assignees": "loop = %(loop)s",
    "person_decisions": "loop = %(loop)s",
    "label_changes": "loop = %(loop)s",
    "annotation_versions": "instance = any(%(instances)s)",
    "reviewers": "instance = any(%(instances)s)",
    "faulty_tasks": "loop = %(loop)s",
    "tasks": "loop = %(loop)s",
    "sentence_outputs": "loop = %(loop)s",
    "sentence_vectors": "loop = %(loop)s",
    "sentence_encoders": "loop = %(loop)s",
    "blind_tasks": "loop = %(loop)s",
    "media_outputs": "loop = %(loop)s",
    "media_looks": "loop = %(loop)s",
    "adopted_tasks": "loop = %(loop)s",
    "adoptions": "loop = %(loop)s",
    "pool": "loop = %(loop)s",
    "batch_items": f"batch_id {_BATCHES}",
    "outcomes": f"output_id {_OUTPUTS}",
    "contents": "loop = %(loop)s",
    "repeats": "loop = %(loop)s",
    "forgotten_outputs": f"output_id {_OUTPUTS}",
    "outputs": "loop = %(loop)s",
    "spec_versions": "loop = %(loop)s",
    "batches": "loop = %(loop)s",
    "outbox": "loop = %(loop)s",
    "pull_requests": "loop = %(loop)s",
    "projects": "loop = %(loop)s",
    "procrastinate_jobs": "args ->> 'loop' = %(loop)s and status = 'todo'",
}
"""Every table that has rows of a loop, with the condition that selects them."""


def counts(conn: Conn, loop: str) -> dict[str, int]:
    """Count the loop's rows in each table; tables without any are left out."""
    parameters = _parameters(conn, loop)
    found = {}
    for table, where in ROWS.items():
        row = conn.execute(f"select count(*) as n from {table} where {where}", parameters).fetchone()
        if row and row["n"]:
            found[table] = int(row["n"])
    return found


def versions(conn: Conn, loop: str) -> list[str]:
    """Return the ids of the loop's model versions; each is also the name of a file."""
    rows = conn.execute("select id from model_versions where loop = %(loop)s order by id", {"loop": loop})
    return [row["id"] for row in rows]


def remove(conn: Conn, loop: str) -> dict[str, int] | None:
    """Delete all rows of the loop except its row in `loops`, which records the time of the removal.

    Returns the number of deleted rows of each table. Returns None, and deletes nothing, if the loop is not archived or
    was removed before.
    """
    # The lock keeps others from writing a row that refers to the loop until the commit.
    held = conn.execute(
        "select 1 from loops where name = %(loop)s and archived_at is not null and removed_at is null for update",
        {"loop": loop},
    ).fetchone()
    if held is None:
        return None
    conn.execute("select set_config('labelloop.removes_loop', %s, true)", [loop])
    conn.execute("set local statement_timeout = 0")  # a large loop takes minutes
    parameters = _parameters(conn, loop)
    deleted = {
        table: conn.execute(f"delete from {table} where {where}", parameters).rowcount for table, where in ROWS.items()
    }
    conn.execute("update loops set removed_at = now() where name = %(loop)s", {"loop": loop})
    return {table: n for table, n in deleted.items() if n}


def _parameters(conn: Conn, loop: str) -> dict[str, object]:
    """Return the parameters of the conditions: the loop, and every project that it has had in Label Studio."""
    rows = conn.execute(
        """
        select instance from projects where loop = %(loop)s
        union select instance from tasks where loop = %(loop)s
        union select a.instance from annotation_versions a join outputs o on o.id = a.output_id where o.loop = %(loop)s
        """,
        {"loop": loop},
    )
    return {"loop": loop, "instances": [row["instance"] for row in rows]}
