"""Statements about further opinions: the items that may get one, the rest of the budget, and the people asked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from labelloop.answers.feedback import Answer
from labelloop.store.database import Conn
from labelloop.store.tables import tasks as task_store

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
            o.state::text, coalesce(t.overlap, 0) as overlap,
            t.output_id is not null and o.lane <> 'gold' and not t.elsewhere as askable,
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
            Answer(row["label"], row["agreement"], row["reviewers"], row["certainty"], row["estimate_id"]),
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

    An item counts once somebody has answered it, with the answers that it has or will have.
    """
    if budget is None:
        return math.inf
    row = conn.execute(
        """
        select count(*) as items, coalesce(sum(greatest(f.given, t.overlap, %(first)s)), 0) as asked
        from tasks t join outputs o on o.id = t.output_id cross join lateral (
            select count(*) as given from feedback where model_output_id = t.output_id
        ) f
        where t.loop = %(loop)s and o.lane <> 'gold' and f.given > 0
        """,
        {"loop": loop, "first": first},
    ).fetchone()
    assert row is not None
    return float(max(0, math.floor(budget * row["items"] + 1e-9) - int(row["asked"])))


def any_waits(conn: Conn, loop: str) -> bool:
    """Return whether a task waits for more people than the loop asks about each."""
    row = conn.execute(
        """
        select exists (
            select from tasks t join outputs o on o.id = t.output_id
            where t.loop = %(loop)s and t.overlap > 1 and o.state = 'in_review') as found
        """,
        {"loop": loop},
    ).fetchone()
    assert row is not None
    return bool(row["found"])


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
