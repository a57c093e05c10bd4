"""Statements about the table faulty_tasks: tasks at which Label Studio fails, each with the reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.reading.ids import ProjectId, TaskId
from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class FaultyTask:
    """A task at which Label Studio fails, as people are told of it."""

    label_studio_id: TaskId
    reason: str
    since: datetime
    key: str | None
    """Key of its output; None for a task of somebody else."""
    project_id: ProjectId
    label_studio_url: str


def get(conn: Conn, loop: str, instance: UUID) -> dict[TaskId, str]:
    """Return the reason for each of these tasks of this project."""
    rows = conn.execute(
        "select label_studio_id, reason from faulty_tasks where loop = %(loop)s and instance = %(instance)s",
        {"loop": loop, "instance": instance},
    )
    return {row["label_studio_id"]: row["reason"] for row in rows}


def replace(conn: Conn, loop: str, instance: UUID, tried: Collection[TaskId], faulty: Mapping[TaskId, str]) -> None:
    """Store what came of the tasks that were tried: those that are not faulty can be read, or are gone."""
    conn.execute(
        """
        with faulty as (select * from unnest(%(ids)s::bigint[], %(reasons)s::text[]) as f (id, reason)), kept as (
            insert into faulty_tasks (loop, instance, label_studio_id, reason)
            select %(loop)s, %(instance)s, id, reason from faulty
            on conflict (instance, label_studio_id) do update set reason = excluded.reason
            where faulty_tasks.reason <> excluded.reason
        )
        delete from faulty_tasks t where t.loop = %(loop)s and (t.instance <> %(instance)s
            or t.label_studio_id = any(%(tried)s) and t.label_studio_id not in (select id from faulty))
        """,
        {
            "loop": loop,
            "instance": instance,
            "tried": list(tried),
            "ids": list(faulty),
            "reasons": [reason[:1000] for reason in faulty.values()],
        },
    )


def count(conn: Conn, loop: str | None = None) -> dict[str, int]:
    """Count these tasks by loop; of one loop if it is named."""
    rows = conn.execute(
        "select loop, count(*) as n from faulty_tasks where %(loop)s::text is null or loop = %(loop)s group by loop",
        {"loop": loop},
    )
    return {row["loop"]: row["n"] for row in rows}


def list_(conn: Conn, loop: str) -> list[FaultyTask]:
    """Return these tasks, the one that failed first at the top."""
    return (
        rows_of(conn, FaultyTask)
        .execute(
            """
            select f.label_studio_id, f.reason, f.since, o.key, p.project_id, p.label_studio_url
            from faulty_tasks f join projects p on p.loop = f.loop and p.instance = f.instance
            left join tasks t on t.instance = f.instance and t.label_studio_id = f.label_studio_id
            left join outputs o on o.id = t.output_id
            where f.loop = %(loop)s order by f.since, f.label_studio_id
            """,
            {"loop": loop},
        )
        .fetchall()
    )
