"""Statements about further opinions: the items that may get one, the rest of the budget, and the people asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from labelloop.answers.feedback import Answer
from labelloop.queue.tasks import Asking
from labelloop.store.database import Conn, rows_of
from labelloop.store.tables import tasks as task_store
from labelloop.store.tables.unreadable import MORE

WANTED = "one more opinion is wanted"
"""Reason of an output's state while a further opinion is asked for."""


class Asked(NamedTuple):
    """An output with an answer, and how many people are asked about it."""

    output_id: UUID
    answer: Answer
    """Its newest answer."""
    given: int
    """People who have answered it, with a readable answer."""
    state: str
    overlap: int
    """As in tasks: 1 unless another number than the loop's is asked; 0 without a task."""
    askable: bool
    """Whether it has a task that people can be asked about: gold items have none, nor what was answered elsewhere."""
    learner: bool
    """Whether a learner's opinion may count: not for gold, nor where chance chose the item to judge models."""


def all_(conn: Conn, loop: str, only: Sequence[UUID] | None = None) -> list[Asked]:
    """Return the outputs that people have answered, by id; `only` those of these outputs."""
    rows = conn.execute(
        """
        select o.id, a.label, a.agreement, coalesce(a.reviewers, 0) as reviewers, a.certainty, a.estimate_id, f.given,
            (select reviewer_id from adjudications where answer_seq = a.seq) as adjudicator,
            o.state::text, coalesce(t.overlap, 0) as overlap,
            t.output_id is not null and o.lane <> 'gold' and not (t.elsewhere and exists (
                select from feedback x join reviewers r on r.id = x.reviewer_id
                where x.model_output_id = o.id and r.instance <> t.instance)) as askable,
            o.lane = 'rule' and not o.holdout as learner
        from (
            select model_output_id as id, count(*) as given from feedback
            where %(only)s::uuid[] is null or model_output_id = any(%(only)s) group by 1
        ) f join outputs o on o.id = f.id left join tasks t on t.output_id = o.id left join lateral (
            select * from answers where output_id = o.id order by seq desc limit 1
        ) a on true
        where o.loop = %(loop)s order by o.id
        """,
        {"loop": loop, "only": None if only is None else list(only)},
    )
    return [
        Asked(
            row["id"],
            Answer(
                row["label"],
                row["agreement"],
                row["reviewers"],
                row["certainty"],
                row["estimate_id"],
                row["adjudicator"],
            ),
            row["given"],
            row["state"],
            row["overlap"],
            row["askable"],
            row["learner"],
        )
        for row in rows
    ]


def room(conn: Conn, loop: str, first: int, budget: float | None) -> float:
    """Return how many further opinions the budget leaves: infinity without a budget, and never below 0.

    An item counts once somebody has answered it, with the answers that it has or will have: an answered one gets no
    more if `first`, the loop's overlap, grows.
    """
    if budget is None:
        return math.inf
    row = conn.execute(
        """
        select count(*) as items, coalesce(sum(greatest(
            f.given, case when o.state = 'in_review' then greatest(t.overlap, %(first)s) end)), 0) as asked
        from tasks t join outputs o on o.id = t.output_id cross join lateral (
            select count(*) as given from feedback where model_output_id = t.output_id
        ) f
        where t.loop = %(loop)s and o.lane <> 'gold' and f.given > 0
        """,
        {"loop": loop, "first": first},
    ).fetchone()
    assert row is not None
    return float(max(0, math.floor(budget * row["items"] + 1e-9) - int(row["asked"])))


def asking(conn: Conn, loop: str, overlap: int) -> list[Asking]:
    """Return the tasks that people answer or have answered, and adopted ones that wait; `overlap`: the loop's."""
    cursor = rows_of(conn, Asking)
    return cursor.execute(
        f"""
        select t.label_studio_id, o.state = 'answered' as answered, greatest(t.overlap, %(overlap)s) + {MORE} as wanted
        from tasks t join outputs o on o.id = t.output_id join projects p on p.loop = t.loop
        where t.loop = %(loop)s and t.instance = p.instance and o.state in ('in_review', 'answered')
        union all
        select d.label_studio_id, false, %(overlap)s
        from adopted_tasks d join projects p on p.loop = d.loop and p.instance = d.instance
        where d.loop = %(loop)s and not exists (select from tasks t where t.output_id = d.output_id)
        order by 1
        """,
        {"loop": loop, "overlap": overlap},
    ).fetchall()


def affected(conn: Conn, loop: str, adjudicators: Sequence[str]) -> list[UUID]:
    """Return the outputs with answers of people that a change of `overlap`, `opinions` or `adjudicators` may settle.

    These are open ones, and those that an adjudicator answers or has adjudicated.
    """
    rows = conn.execute(
        """
        select distinct o.id from feedback f join outputs o on o.id = f.model_output_id
        join reviewers r on r.id = f.reviewer_id
        where o.loop = %(loop)s and (o.state = 'in_review' or lower(r.email) = any(%(adjudicators)s))
        union
        select output_id from adjudications where loop = %(loop)s
        """,
        {"loop": loop, "adjudicators": [address.lower() for address in adjudicators]},
    )
    return [row["id"] for row in rows]


def ask(conn: Conn, wanted: Mapping[UUID, int]) -> None:
    """Let these many people answer each of these tasks, which wait for the next one."""
    _set(conn, wanted)
    conn.execute(
        """
        update outputs set state = 'in_review', state_reason = %(reason)s where id = any(%(ids)s) and state = 'answered'
        """,
        {"ids": list(wanted), "reason": WANTED},
    )


def release(conn: Conn, given: Mapping[UUID, int]) -> None:
    """Ask nobody else about these tasks, which this many people have answered."""
    _set(conn, given)


def record_told(conn: Conn, overlaps: Mapping[UUID, int]) -> None:
    """Store for each output how many opinions Label Studio asks for, or is about to."""
    task_store.lock(conn, overlaps)
    conn.execute(
        """
        update tasks t set told_overlap = n.told from unnest(%(ids)s::uuid[], %(told)s::integer[]) as n (id, told)
        where t.output_id = n.id and t.told_overlap <> n.told
        """,
        {"ids": list(overlaps), "told": list(overlaps.values())},
    )


def _set(conn: Conn, overlap: Mapping[UUID, int]) -> None:
    task_store.lock(conn, overlap)
    conn.execute(
        """
        update tasks t set overlap = n.overlap from unnest(%(ids)s::uuid[], %(n)s::integer[]) as n (output_id, overlap)
        where t.output_id = n.output_id and t.overlap <> n.overlap
        """,
        {"ids": list(overlap), "n": list(overlap.values())},
    )
