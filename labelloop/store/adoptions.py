"""Statements about the table adoptions: projects that people made before the loop. The caller owns the transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.reading.ids import ProjectId
from labelloop.store.database import Conn, columns, rows_of


@dataclass(frozen=True, slots=True)
class Adoption:
    """A row of adoptions."""

    loop: str
    label_studio_url: str
    project_id: ProjectId
    settings: Mapping[str, Any]
    """The project's settings before labelloop changed any, by Label Studio's names."""
    tabs: Sequence[int]
    """Ids of the tabs that the project had."""
    batch_id: UUID
    since: datetime | None
    """The newest change of a task when the adoption began; None for a project without tasks."""
    begun_at: datetime
    adopted_at: datetime | None
    released_at: datetime | None


def get(conn: Conn, loop: str) -> Adoption | None:
    """Return the loop's adoption, released or not; None if its project is labelloop's own."""
    cursor = rows_of(conn, Adoption)
    return cursor.execute(f"select {columns(Adoption)} from adoptions where loop = %(loop)s", {"loop": loop}).fetchone()


def of_project(conn: Conn, label_studio_url: str, project_id: ProjectId) -> Adoption | None:
    """Return the newest adoption of this project that was not released, or else the newest of all."""
    cursor = rows_of(conn, Adoption)
    return cursor.execute(
        f"""
        select {columns(Adoption)} from adoptions where label_studio_url = %(url)s and project_id = %(id)s
        order by released_at desc nulls first limit 1
        """,
        {"url": label_studio_url, "id": project_id},
    ).fetchone()


def loop_of_project(conn: Conn, label_studio_url: str, project_id: ProjectId) -> str | None:
    """Return the loop that has this project and did not release it; None if there is none."""
    row = conn.execute(
        """
        select p.loop from projects p join loops l on l.name = p.loop left join adoptions a on a.loop = p.loop
        where rtrim(p.label_studio_url, '/') = %(url)s and p.project_id = %(id)s and l.removed_at is null
        and a.released_at is null
        """,
        {"url": label_studio_url, "id": project_id},
    ).fetchone()
    return None if row is None else str(row["loop"])


def begin(
    conn: Conn,
    loop: str,
    label_studio_url: str,
    project_id: ProjectId,
    settings: Mapping[str, Any],
    tabs: Sequence[int],
    since: datetime | None,
) -> None:
    """Store that the loop adopts this project, or adopts it again after a release."""
    conn.execute(
        """
        with batch as (
            insert into batches (loop, kind, state, version, size, sent_at, resolved_at, reason)
            values (%(loop)s, 'tasks', 'adopted', '', 0, now(), now(), 'the tasks of an adopted project')
            returning id
        )
        insert into adoptions (loop, label_studio_url, project_id, settings, tabs, since, batch_id)
        select %(loop)s, %(url)s, %(id)s, %(settings)s, %(tabs)s, %(since)s, id from batch
        on conflict (loop) do update set label_studio_url = excluded.label_studio_url, settings = excluded.settings,
            tabs = excluded.tabs, since = excluded.since, batch_id = excluded.batch_id, begun_at = now(),
            adopted_at = null, released_at = null
        """,
        {
            "loop": loop,
            "url": label_studio_url,
            "id": project_id,
            "settings": Jsonb(dict(settings)),
            "tabs": list(tabs),
            "since": since,
        },
    )


def complete(conn: Conn, loop: str) -> bool:
    """Store that all tasks are adopted; False if that was stored before."""
    return (
        conn.execute(
            "update adoptions set adopted_at = now() where loop = %(loop)s and adopted_at is null", {"loop": loop}
        ).rowcount
        == 1
    )


def release(conn: Conn, loop: str) -> None:
    """Store that the project was given back."""
    conn.execute("update adoptions set released_at = now() where loop = %(loop)s", {"loop": loop})


def let_go(conn: Conn, loop: str) -> int:
    """Move the outputs of all open tasks back to the pool, because the project is given back; return how many.

    They keep their utility, and answered outputs keep their tasks. If the project is adopted again, they are opened
    again.
    """
    conn.execute("select from tasks where loop = %(loop)s order by output_id for update", {"loop": loop})
    values = {"loop": loop, "reason": "its project was released"}
    conn.execute(
        """
        insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker, why, margin)
        select t.output_id, t.loop, t.lane, t.utility, o.key, t.label, t.confidence, t.champion, t.ranker, t.why,
            t.margin
        from tasks t join outputs o on o.id = t.output_id
        where t.loop = %(loop)s and o.state = 'in_review' on conflict (output_id) do nothing
        """,
        values,
    )
    conn.execute(
        """
        delete from tasks t using outputs o where o.id = t.output_id and t.loop = %(loop)s and o.state = 'in_review'
        """,
        values,
    )
    return conn.execute(
        "update outputs set state = 'waiting', state_reason = %(reason)s where loop = %(loop)s and state = 'in_review'",
        values,
    ).rowcount


def at_work(conn: Conn, loop: str) -> bool:
    """Return whether a worker runs a push or a pull of the loop at this moment."""
    row = conn.execute(
        """
        select exists (
            select from procrastinate_jobs
            where args ->> 'loop' = %(loop)s and queue_name = 'sync' and status = 'doing') as found
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return bool(row["found"])


def is_released(conn: Conn, loop: str) -> bool:
    """Return whether the loop has adopted a project and given it back."""
    found = get(conn, loop)
    return found is not None and found.released_at is not None


def versions(conn: Conn, loop: str) -> set[str]:
    """Return every model version under which the loop has sent predictions to Label Studio."""
    rows = conn.execute(
        """
        select distinct version from batches where loop = %(loop)s and version <> ''
        union select model_version from projects where loop = %(loop)s
        """,
        {"loop": loop},
    )
    return {row["version"] for row in rows}
