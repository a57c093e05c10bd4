"""Statements about the table person_decisions, and about the answers that a decision is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.reading.ids import UserId
from labelloop.store.database import Conn, rows_of

RESTS_ON_DISTRUSTED = """
    exists (select from distrusted_people where loop = a.loop) and exists (
        select from answer_sources s join distrusted_people d on d.reviewer_id = s.reviewer_id
        where s.answer_seq = a.seq and d.loop = a.loop
        and s.updated_at >= d.since and (d.until is null or s.updated_at < d.until))
"""
"""Condition on a row `a` of answers: it rests on an answer that does not count any more."""


@dataclass(frozen=True, slots=True)
class Distrust:
    """A decision in force that the answers of a person do not count, for one row of reviewers."""

    decision: int
    since: datetime
    until: datetime | None
    """Answers that were written at this time or later count; None if there is no such time."""
    label_studio_user_id: UserId

    def covers(self, at: datetime) -> bool:
        """Whether an answer that was written at this time does not count."""
        return at >= self.since and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Decision:
    """A row of person_decisions that says that answers do not count."""

    id: int
    reviewer_id: UUID
    since: datetime
    until: datetime | None
    by: str
    why: str
    at: datetime
    ended_at: datetime | None
    """Time from which the answers count again; None if it is in force."""
    ended_by: str | None
    ended_because: str | None


@dataclass(frozen=True, slots=True)
class Covered:
    """Numbers of the outputs whose answers by a person a decision is about."""

    answers: int
    held_out: int
    gold: int
    alone: int
    """Outputs without an answer of anybody else; gold is left out."""
    short: int
    """Answered outputs that would wait for people again, because the answers of others are too few; gold is left out.

    A further opinion that only `opinions` would ask for is not among them.
    """


@dataclass(frozen=True, slots=True)
class Learned:
    """A version that answers of a person trained or judged."""

    version: str
    stage: str
    taught: int
    """Answers in its training set that rest on the person."""
    judged: int
    """Answers in its hold-out set that rest on the person."""


def in_force(conn: Conn, loop: str, instance: UUID) -> dict[UserId, list[Distrust]]:
    """Return the decisions in force about people of this instance, by Label Studio's user id."""
    found: dict[UserId, list[Distrust]] = {}
    rows = rows_of(conn, Distrust).execute(
        """
        select decision, since, until, label_studio_user_id from distrusted_people
        where loop = %(loop)s and instance = %(instance)s order by decision
        """,
        {"loop": loop, "instance": instance},
    )
    for row in rows:
        found.setdefault(row.label_studio_user_id, []).append(row)
    return found


def list_(conn: Conn, loop: str, reviewer_ids: Sequence[UUID] | None = None) -> list[Decision]:
    """Return the decisions that answers do not count, oldest first; `reviewer_ids`: only those about one of them."""
    return (
        rows_of(conn, Decision)
        .execute(
            """
            select d.id, d.reviewer_id, d.since, d.until, d.by, d.why, d.at, e.at as ended_at, e.by as ended_by,
                e.why as ended_because
            from person_decisions d left join person_decisions e on e.ends = d.id
            where d.loop = %(loop)s and d.since is not null
            and (%(ids)s::uuid[] is null or d.reviewer_id = any(%(ids)s)) order by d.id
            """,
            {"loop": loop, "ids": None if reviewer_ids is None else list(reviewer_ids)},
        )
        .fetchall()
    )


def distrust(
    conn: Conn, loop: str, reviewer_id: UUID, since: datetime, until: datetime | None, by: str, why: str
) -> int:
    """Store the decision that the answers of a person do not count; return its number."""
    row = conn.execute(
        """
        insert into person_decisions (loop, reviewer_id, since, until, by, why)
        values (%(loop)s, %(reviewer)s, %(since)s, %(until)s, %(by)s, %(why)s) returning id
        """,
        {"loop": loop, "reviewer": reviewer_id, "since": since, "until": until, "by": by, "why": why},
    ).fetchone()
    assert row is not None
    return int(row["id"])


def end(conn: Conn, decision: int, by: str, why: str) -> None:
    """Store that the answers count again. A second call stores nothing."""
    conn.execute(
        """
        insert into person_decisions (loop, reviewer_id, ends, by, why)
        select loop, reviewer_id, id, %(by)s, %(why)s from person_decisions where id = %(id)s
        on conflict (ends) do nothing
        """,
        {"id": decision, "by": by, "why": why},
    )


def unsettled(conn: Conn, loop: str, after: UUID | None, limit: int) -> list[UUID]:
    """Return outputs behind `after` whose answers count otherwise than the decisions in force say, by id.

    This reads the answers that a decision covers by their index (hence `offset 0`), and the worker asks often.
    """
    rows = conn.execute(
        """
        select distinct id from (
            select f.model_output_id as id from distrusted_people d cross join lateral (
                select model_output_id from feedback where reviewer_id = d.reviewer_id
                and updated_at >= d.since and updated_at < coalesce(d.until, 'infinity') offset 0
            ) f join outputs o on o.id = f.model_output_id and o.loop = d.loop where d.loop = %(loop)s
            union all
            select u.output_id from unreadable u join person_decisions e on e.ends = u.decision
            where u.loop = %(loop)s and u.until is null
        ) those where exists (select from person_decisions where loop = %(loop)s)
        and (%(after)s::uuid is null or id > %(after)s) order by id limit %(limit)s
        """,
        {"loop": loop, "after": after, "limit": limit},
    )
    return [row["id"] for row in rows]


def instances(conn: Conn, output_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    """Map each instance in which somebody annotated one of these outputs to those outputs."""
    rows = conn.execute(
        """
        select instance, array_agg(distinct output_id) as outputs from annotation_versions
        where output_id = any(%(ids)s) group by instance order by instance
        """,
        {"ids": list(output_ids)},
    )
    return {row["instance"]: row["outputs"] for row in rows}


def covered(
    conn: Conn, loop: str, reviewer_ids: Sequence[UUID], since: datetime, until: datetime | None, overlap: int
) -> Covered:
    """Count the outputs with an answer of this person that counts now and was written in this time.

    `overlap`: how many people the loop asks about each item.
    """
    row = (
        rows_of(conn, Covered)
        .execute(
            """
            select count(*) as answers, count(*) filter (where o.holdout and o.lane <> 'gold') as held_out,
                count(*) filter (where o.lane = 'gold') as gold,
                count(*) filter (where o.lane <> 'gold' and others.n = 0) as alone,
                count(*) filter (where o.lane <> 'gold' and o.state = 'answered' and not exists (
                    select from adjudications j where j.reviewer_id <> all(%(ids)s)
                    and j.answer_seq = (select max(seq) from answers where output_id = o.id)
                ) and others.n < case when t.output_id is null then 1 else greatest(t.overlap, %(overlap)s) end
                ) as short
            from (
                select distinct model_output_id as id from feedback where reviewer_id = any(%(ids)s)
                and updated_at >= %(since)s and (%(until)s::timestamptz is null or updated_at < %(until)s)
            ) f join outputs o on o.id = f.id left join tasks t on t.output_id = o.id cross join lateral (
                select count(*) as n from feedback g where g.model_output_id = o.id and g.reviewer_id <> all(%(ids)s)
            ) others where o.loop = %(loop)s
            """,
            {"loop": loop, "ids": list(reviewer_ids), "since": since, "until": until, "overlap": overlap},
        )
        .fetchone()
    )
    assert row is not None
    return row


def learned(
    conn: Conn, loop: str, reviewer_ids: Sequence[UUID], since: datetime, until: datetime | None
) -> list[Learned]:
    """Return the versions that were trained or judged on answers that this person wrote in this time, newest first."""
    return (
        rows_of(conn, Learned)
        .execute(
            """
            with theirs as materialized (
                select distinct s.answer_seq, s.output_id from answer_sources s
                where s.loop = %(loop)s and s.reviewer_id = any(%(ids)s)
                and s.updated_at >= %(since)s and (%(until)s::timestamptz is null or s.updated_at < %(until)s)
                and s.output_id in (
                    select v.output_id from annotation_versions v join reviewers r
                        on r.instance = v.instance and r.label_studio_user_id = coalesce(v.updated_by, v.completed_by)
                    where r.id = any(%(ids)s))
            )
            select v.id as version, v.stage::text,
                count(distinct i.output_id) filter (where i.part = 'train') as taught,
                count(distinct i.output_id) filter (where i.part = 'holdout') as judged
            from theirs t join run_items i on i.output_id = t.output_id and i.answer_seq = t.answer_seq
            join retrain_runs r on r.id = i.run_id join model_versions v on v.id = r.version_id
            group by v.id order by v.created_at desc, v.id
            """,
            {"loop": loop, "ids": list(reviewer_ids), "since": since, "until": until},
        )
        .fetchall()
    )


def distrusted_in(conn: Conn, version_id: str) -> Learned | None:
    """Count the answers of a version that rest on people whose answers do not count any more; None if it has none."""
    row = conn.execute(
        f"""
        select v.id as version, v.stage::text,
            count(distinct i.output_id) filter (where i.part = 'train') as taught,
            count(distinct i.output_id) filter (where i.part = 'holdout') as judged
        from model_versions v join retrain_runs r on r.version_id = v.id join run_items i on i.run_id = r.id
        join answers a on a.seq = i.answer_seq
        where v.id = %(version)s and {RESTS_ON_DISTRUSTED} group by v.id
        """,
        {"version": version_id},
    ).fetchone()
    return None if row is None else Learned(**row)
