"""Statements about the tables assignees and assignments: who is to answer which open tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.answers import given
from labelloop.reading.ids import TaskId, UserId
from labelloop.store.database import Conn, rows_of
from labelloop.store.tables.unreadable import MORE


@dataclass(frozen=True, slots=True)
class Assignee:
    """A person whom loop.yaml names and whom Label Studio knows."""

    id: UUID
    """The row of reviewers."""
    user_id: UserId
    email: str
    name: str
    tab_id: int | None
    ids: Sequence[UUID]
    """All rows of reviewers with the same address, in this project or over HTTP."""
    answers: int
    """Answers since the period began."""
    last_at: datetime | None
    """Time of the last answer; None if there is none."""


class Assignment(NamedTuple):
    """A row of assignments."""

    output_id: UUID
    reviewer_id: UUID
    at: datetime
    handed_on_at: datetime | None


@dataclass(frozen=True, slots=True)
class AskedTask:
    """An open task, and who has answered it."""

    output_id: UUID
    label_studio_id: TaskId
    key: str
    wanted: int
    """Number of people who are to answer it in all."""
    needs: Mapping[str, Any]
    """Values of those fields of data that say what a person needs."""
    adopted: bool
    """Whether it was in the project before the loop, so that its data lacks our fields."""
    answered: Sequence[UserId]
    skipped: Sequence[UserId]
    said: Sequence[UUID]
    """Rows of reviewers whose answer counts."""


def keep_assignees(conn: Conn, loop: str, reviewer_ids: Sequence[UUID]) -> None:
    """Store who the people of loop.yaml are, and release the tasks of all others."""
    values = {"loop": loop, "ids": list(reviewer_ids)}
    conn.execute(
        "insert into assignees (loop, reviewer_id) select %(loop)s, unnest(%(ids)s::uuid[]) on conflict do nothing",
        values,
    )
    for table in ("assignees", "assignments"):
        conn.execute(f"delete from {table} where loop = %(loop)s and reviewer_id <> all(%(ids)s)", values)


def set_tab(conn: Conn, loop: str, reviewer_id: UUID, tab_id: int) -> None:
    conn.execute(
        """
        update assignees set tab_id = %(tab)s
        where loop = %(loop)s and reviewer_id = %(reviewer)s and tab_id is distinct from %(tab)s
        """,
        {"loop": loop, "reviewer": reviewer_id, "tab": tab_id},
    )


def any_(conn: Conn, loop: str) -> bool:
    """Return whether anybody is to answer tasks of the loop, or was at the last push."""
    row = conn.execute("select exists (select from assignees where loop = %s) as found", [loop]).fetchone()
    assert row is not None
    return bool(row["found"])


def assignees(conn: Conn, loop: str, begin: datetime) -> list[Assignee]:
    """Return the people, by address. `begin`: the begin of the period."""
    return (
        rows_of(conn, Assignee)
        .execute(
            """
            with those as (
                select r.id, r.label_studio_user_id as user_id, coalesce(r.email, '') as email,
                    coalesce(r.name, r.email, 'user ' || r.label_studio_user_id) as name, a.tab_id,
                    array(select s.id from reviewers s
                          where s.id = r.id or s.email = r.email and s.instance = %(http)s) as ids
                from assignees a join reviewers r on r.id = a.reviewer_id where a.loop = %(loop)s
            )
            select t.*, f.answers, f.last_at from those t cross join lateral (
                select (select count(*) from feedback where reviewer_id = any(t.ids) and updated_at >= %(begin)s)
                        as answers,
                    (select max(n.at) from unnest(t.ids) as i (id) cross join lateral (
                        select max(updated_at) as at from feedback where reviewer_id = i.id) n) as last_at
            ) f order by t.email, t.id
            """,
            {"loop": loop, "begin": begin, "http": given.instance_of(loop)},
        )
        .fetchall()
    )


def list_(conn: Conn, loop: str) -> list[Assignment]:
    rows = conn.execute(
        "select output_id, reviewer_id, at, handed_on_at from assignments where loop = %s order by at, output_id",
        [loop],
    )
    return [Assignment(**row) for row in rows]


def tasks(conn: Conn, loop: str, overlap: int, needs: Sequence[str]) -> list[AskedTask]:
    """Return the open tasks, the most useful first. `needs`: fields of data that say what a person needs."""
    return (
        rows_of(conn, AskedTask)
        .execute(
            f"""
            select t.output_id, t.label_studio_id, o.key, greatest(t.overlap, %(overlap)s) + {MORE} as wanted,
                coalesce((select jsonb_object_agg(field, o.data -> field) from unnest(%(needs)s::text[]) as field
                          where o.data ? field), '{{}}') as needs,
                exists (select from adopted_tasks d where d.output_id = t.output_id and d.instance = t.instance)
                    as adopted,
                a.answered, a.skipped,
                -- A person has another row in a project that was made again.
                array(select coalesce((select n.id from reviewers n where n.instance = t.instance
                                       and n.email = r.email limit 1), r.id)
                      from feedback f join reviewers r on r.id = f.reviewer_id
                      where f.model_output_id = t.output_id) as said
            from tasks t join outputs o on o.id = t.output_id cross join lateral (
                select coalesce(array_agg(distinct completed_by) filter (where not was_cancelled), '{{}}') as answered,
                    coalesce(array_agg(distinct completed_by) filter (where was_cancelled), '{{}}') as skipped
                from annotations
                where instance = t.instance and task_id = t.label_studio_id and completed_by is not null
                and annotation_id = any(array(
                    select annotation_id from annotation_versions
                    where instance = t.instance and task_id = t.label_studio_id))
            ) a
            where t.loop = %(loop)s and o.loop = %(loop)s and o.state = 'in_review'
            order by t.priority desc, t.output_id
            """,
            {"loop": loop, "overlap": overlap, "needs": list(needs)},
        )
        .fetchall()
    )


def store(
    conn: Conn, loop: str, given: Mapping[UUID, Iterable[UUID]], handed_on: Mapping[UUID, Iterable[UUID]]
) -> None:
    """Store the people of each output, and those who let it go. An assignment that is in neither is deleted."""
    new = [(output, person) for output, people in given.items() for person in people]
    gone = [(output, person) for output, people in handed_on.items() for person in people]
    both = "unnest(%(outputs)s::uuid[], %(people)s::uuid[]) as g (output_id, reviewer_id)"
    conn.execute(
        f"""
        update assignments a set handed_on_at = clock_timestamp() from {both}
        where a.output_id = g.output_id and a.reviewer_id = g.reviewer_id and a.handed_on_at is null
        """,
        _columns(gone),
    )
    conn.execute(
        f"""
        insert into assignments (loop, output_id, reviewer_id) select %(loop)s, g.* from {both}
        on conflict (output_id, reviewer_id) do update set at = clock_timestamp(), handed_on_at = null
        where assignments.handed_on_at is not null
        """,
        {"loop": loop, **_columns(new)},
    )
    conn.execute(
        f"""
        delete from assignments a where a.loop = %(loop)s and a.handed_on_at is null
        and not exists (select from {both} where g.output_id = a.output_id and g.reviewer_id = a.reviewer_id)
        """,
        {"loop": loop, **_columns(new)},
    )
    # What a person let go keeps the person from new tasks until the next answer.
    conn.execute(
        """
        delete from assignments a using outputs o where o.id = a.output_id and a.loop = %(loop)s
        and a.handed_on_at < now() - interval '30 days' and o.state <> 'in_review'
        """,
        {"loop": loop},
    )


def _columns(pairs: Sequence[tuple[UUID, UUID]]) -> dict[str, list[UUID]]:
    return {"outputs": [output for output, _ in pairs], "people": [person for _, person in pairs]}
