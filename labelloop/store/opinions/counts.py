"""Questions about opinions: how many each item took, what they settled, and which gold answers people contradict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from labelloop.answers.people import distinct_names
from labelloop.store.database import Conn


class Counted(NamedTuple):
    """Items that this many people answered; gold is left out."""

    answers: int
    items: int
    clear: int
    """Items with an answer that holds, also while one more person is asked."""
    asked: int
    """Items about which one more person is asked."""
    unclear: int
    """Items whose people do not agree, and nobody else is asked. Items that wait for the first people are left out."""
    certainty: float | None
    """Mean certainty of the clear answers on which people agreed, 0 to 1; None if none has one."""


class GoldItem(NamedTuple):
    """A gold item that several people answered."""

    key: str
    gold: str
    said: Mapping[str, int]
    """Number of people by their answer; clear answers only."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A person of the newest estimate."""

    reviewer: str | None
    answers: int
    shared: int
    accuracy: float | None
    low: float | None
    high: float | None


class Made(NamedTuple):
    """The estimate in force."""

    id: int
    made_at: Any
    answers: int
    items: int
    learner: dict[str, Any] | None


def by_number(conn: Conn, loop: str) -> list[Counted]:
    """Count the answered items by the number of people who answered them, fewest first."""
    rows = conn.execute(
        """
        select f.n as answers, count(*) as items, count(a.label) as clear,
            count(*) filter (where w.asked) as asked,
            count(*) filter (where a.reviewers > 0 and a.label is null and not w.asked) as unclear,
            avg(a.certainty) filter (where a.label is not null and not a.adjudicated) as certainty
        from (
            select model_output_id as id, count(*) as n from feedback group by 1
        ) f join outputs o on o.id = f.id left join tasks t on t.output_id = o.id left join lateral (
            select label, reviewers, certainty, exists (
                select from adjudications where answer_seq = seq) as adjudicated
            from answers where output_id = o.id order by seq desc limit 1
        ) a on true cross join lateral (
            select o.state = 'in_review' and coalesce(t.overlap, 0) > f.n and a.reviewers is not null as asked
        ) w
        where o.loop = %(loop)s and o.lane <> 'gold' group by 1 order by 1
        """,
        {"loop": loop},
    )
    return [Counted(**row) for row in rows]


def estimate(conn: Conn, loop: str) -> Made | None:
    """Return the estimate of people's quality in force; None before the first one."""
    row = conn.execute(
        """
        select id, made_at, answers, items, learner from quality_estimates where loop = %(loop)s
        order by id desc limit 1
        """,
        {"loop": loop},
    ).fetchone()
    return None if row is None else Made(**row)


def people(conn: Conn, estimate_id: int) -> list[Judged]:
    """Return the people of an estimate, most answers first."""
    rows = conn.execute(
        """
        select r.label_studio_user_id, r.email, r.name, q.answers, q.shared, q.accuracy, q.low, q.high
        from person_quality q join reviewers r on r.id = q.reviewer_id where q.estimate_id = %(id)s
        order by q.answers desc, r.name, r.label_studio_user_id
        """,
        {"id": estimate_id},
    ).fetchall()
    return [
        Judged(name, row["answers"], row["shared"], row["accuracy"], row["low"], row["high"])
        for name, row in zip(distinct_names(rows), rows, strict=True)
    ]


def contradicted_gold(conn: Conn, loop: str, least: int) -> list[GoldItem]:
    """Return gold items that at least `least` people answered and most of them against the gold, by key."""
    rows = conn.execute(
        """
        with said as (
            select o.id, o.key, o.gold, f.label, count(*) as n
            from feedback f join outputs o on o.id = f.model_output_id
            where o.loop = %(loop)s and o.lane = 'gold' and f.label is not null group by 1, 2, 3, 4
        )
        select key, gold, jsonb_object_agg(label, n) as said from said group by id, key, gold
        having sum(n) >= %(least)s and max(n) filter (where label <> gold) * 2 > sum(n) order by key collate "C"
        """,
        {"loop": loop, "least": least},
    )
    return [GoldItem(**row) for row in rows]


def answered_gold(conn: Conn, loop: str) -> int:
    """Count the outputs of the loop's gold lane that somebody answered."""
    row = conn.execute(
        """
        select count(*) as n from outputs o where o.loop = %(loop)s and o.lane = 'gold'
        and exists (select from feedback where model_output_id = o.id)
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return int(row["n"])
