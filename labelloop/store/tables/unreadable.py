"""Statements about the table unreadable: answers that cannot be read, and those of people who are distrusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.answers.unreadable import MOST_ASKED
from labelloop.reading.ids import AnnotationId, ProjectId, TaskId
from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class Row:
    """An answer that cannot be read, as it is stored."""

    output_id: UUID
    annotation_version: int
    reviewer_id: UUID | None
    """None if nobody can be named."""
    reason: str
    ask: bool
    comment: str | None
    decision: int | None = None
    """The decision by which its person's answers do not count; None if it cannot be read."""


MORE = f"""
    (select least(count(*) filter (where u.decision is null), {MOST_ASKED})
        + count(u.decision) filter (where v.instance = t.instance)
     from unreadable u join annotation_versions v on v.seq = u.annotation_version
     where u.output_id = t.output_id and u.until is null and u.ask)::integer
"""
"""Number of extra people who are asked about the task `t`, because answers to it do not count."""


@dataclass(frozen=True, slots=True)
class UnreadableAnswer:
    """An answer that cannot be read, as people are told of it."""

    key: str
    """The output's key."""
    reviewer: str | None
    """Name, address or `user 7`; None if nobody can be named."""
    reason: str
    comment: str | None
    updated_at: datetime
    annotation_id: AnnotationId
    label_studio_id: TaskId | None
    project_id: ProjectId | None
    label_studio_url: str | None
    again: bool
    """True: Label Studio asks somebody else."""
    total: int
    """Number of all such answers of the loop."""
    stuck: int
    """Number of those without `again`."""


def replace(
    conn: Conn,
    loop: str,
    instance: UUID,
    form: bytes,
    output_ids: Sequence[UUID],
    rows: Sequence[Row],
    *,
    only_here: bool = False,
) -> None:
    """Store all answers to these outputs that do not count, found with the form of this hash; close the others.

    Answers of distrusted people in another instance stay as they are; with `only_here` all of another instance do.
    """
    conn.execute(
        """
        update unreadable u set until = now() from annotation_versions v
        where u.output_id = any(%(outputs)s) and u.until is null
        and u.annotation_version <> all (%(versions)s::bigint[]) and v.seq = u.annotation_version
        and (v.instance = %(instance)s or u.decision is null and not %(only_here)s)
        """,
        {
            "outputs": list(output_ids),
            "versions": [row.annotation_version for row in rows],
            "instance": instance,
            "only_here": only_here,
        },
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            insert into unreadable (loop, output_id, annotation_version, reviewer_id, reason, ask, comment, form,
                                    decision)
            values (%(loop)s, %(output)s, %(version)s, %(reviewer)s, %(reason)s, %(ask)s, %(comment)s, %(form)s,
                    %(decision)s)
            on conflict (annotation_version) where until is null do update set
                reason = excluded.reason, ask = excluded.ask, comment = excluded.comment, form = excluded.form,
                decision = excluded.decision
            """,
            [
                {
                    "loop": loop,
                    "output": row.output_id,
                    "version": row.annotation_version,
                    "reviewer": row.reviewer_id,
                    "reason": row.reason,
                    "ask": row.ask,
                    "comment": row.comment,
                    "form": form,
                    "decision": row.decision,
                }
                for row in rows
            ],
        )


def of_another_form(conn: Conn, loop: str, instance: UUID, form: bytes) -> list[UUID]:
    """Return the outputs with an answer that could not be read with a form of another hash.

    Only answers in this project are returned; those of a lost project stay unread.
    """
    rows = conn.execute(
        """
        select distinct u.output_id from unreadable u join annotation_versions v on v.seq = u.annotation_version
        where u.loop = %(loop)s and u.until is null and u.decision is null and u.form <> %(form)s
        and v.instance = %(instance)s
        order by u.output_id
        """,
        {"loop": loop, "instance": instance, "form": form},
    )
    return [row["output_id"] for row in rows]


def outputs(conn: Conn, loop: str) -> int:
    """Count the outputs in review that have an unreadable answer."""
    row = conn.execute(
        """
        select count(distinct u.output_id) as n from unreadable u join outputs o on o.id = u.output_id
        where u.loop = %(loop)s and u.until is null and u.decision is null and o.state = 'in_review'
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def of_outputs(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """Return the reason of each unreadable answer of the outputs, oldest first; outputs without any are left out."""
    rows = conn.execute(
        """
        select output_id as id, array_agg(reason order by since, id) as reasons
        from unreadable where output_id = any(%(ids)s) and until is null and decision is null group by 1
        """,
        {"ids": list(output_ids)},
    )
    return {row["id"]: row["reasons"] for row in rows}


def list_(conn: Conn, loop: str, limit: int | None = None) -> list[UnreadableAnswer]:
    """Return the answers that cannot be read, of outputs in review.

    First the answers that no other person is asked to replace, then the oldest.
    """
    cursor = rows_of(conn, UnreadableAnswer)
    return cursor.execute(
        f"""
        with those as (
            select u.*, count(*) over (partition by u.output_id) as n,
                count(*) filter (where u.ask) over (partition by u.output_id) as asks
            from unreadable u where u.loop = %(loop)s and u.until is null and u.decision is null
        ), shown as (
            select o.key, coalesce(r.name, r.email, 'user ' || r.label_studio_user_id) as reviewer, u.reason, u.comment,
                v.updated_at, v.annotation_id, t.label_studio_id, p.project_id, p.label_studio_url,
                u.n + (select count(*) from feedback f where f.model_output_id = o.id)
                    < greatest(t.overlap, (l.spec ->> 'overlap')::integer) + least(u.asks, {MOST_ASKED}) as again
            from those u join outputs o on o.id = u.output_id join loops l on l.name = u.loop
            join annotation_versions v on v.seq = u.annotation_version
            left join reviewers r on r.id = u.reviewer_id
            left join tasks t on t.output_id = o.id
            left join projects p on p.loop = o.loop and p.instance = t.instance
            where o.state = 'in_review'
        )
        select *, count(*) over () as total, count(*) filter (where not again) over () as stuck
        from shown order by again, updated_at, key collate "C" limit %(limit)s
        """,
        {"loop": loop, "limit": limit},
    ).fetchall()
