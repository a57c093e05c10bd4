"""Statements about the error rate of the pipeline's labels: answers that chance chose, and the sizes of their strata.

Outputs without a label of the pipeline, outputs of an unknown stratum and repeats are left out everywhere, and counted.
Whether an output is a repeat does not depend on its lane. So chance chose fairly from those that are none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.answers.error_rate import UNKNOWN_DOUBT
from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines.repeats import NO_REPEAT

OF_STEP = "(%(all_steps)s or o.step is not distinct from %(step)s)"
CHOSEN = f"""
    {OF_STEP} and o.loop = %(loop)s and o.lane in ('holdout', 'control', 'audit') and o.triggered is not null
    and {NO_REPEAT}
"""
DOUBT = f"1.0 - coalesce(o.confidence, {1.0 - UNKNOWN_DOUBT})"
NEWEST = """
    select distinct on (output_id) output_id, label, reviewers from answers
    where loop = %(loop)s order by output_id, seq desc
"""
"""The newest answer of each output; one that was taken back has no reviewers."""
OPINIONS = """
    case when a.label is null then (
        select array_agg(f.label order by f.label) from feedback f
        where f.model_output_id = o.id and (f.label is not null or f.approval is false)
    ) end as opinions
"""


@dataclass(frozen=True, slots=True)
class Step:
    """The outputs of one step of the pipeline."""

    name: str | None
    """None if the outputs name no step."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answered output that chance chose, with the pipeline's label."""

    output_id: UUID
    triggered: bool
    lane: str
    group_key: str
    received_at: datetime
    source: str | None
    predicted: str
    doubt: float
    """1 - the pipeline's confidence; UNKNOWN_DOUBT if it gave none."""
    answer: str | None
    """None if the reviewers agree on no label."""
    opinions: Sequence[str | None] | None
    """The reviewers' labels if they agree on none, sorted; None in it rejects the pipeline's label and names no other.
    """


@dataclass(frozen=True, slots=True)
class Ranked:
    """Number of answered outputs of the rule lane with these two labels."""

    predicted: str
    answer: str | None
    opinions: Sequence[str | None] | None
    n: int


@dataclass(frozen=True, slots=True)
class Period:
    """Outputs of one stratum and period of arrival."""

    triggered: bool
    period: int
    """0 is the first."""
    n: int
    doubt: float
    """Mean of 1 - the pipeline's confidence."""
    later: int
    """Those that came after the newest answered output of the stratum; all if there is none."""


@dataclass(frozen=True, slots=True)
class Open:
    """Outputs of a stratum that chance chose, and that have no answer."""

    triggered: bool
    waiting: int
    """In the pool, or on their way to Label Studio."""
    in_review: int
    unreadable: int
    """With an answer that cannot be read."""
    skipped: int
    set_aside: int
    """Quarantined or withdrawn."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Outputs that no estimate includes; gold is counted nowhere."""

    without_label: int
    """The pipeline gave no label, so there is nothing that could be incorrect."""
    unknown_stratum: int
    """They came before it was stored whether the trigger sends a held-out output."""
    chosen_by_people: int
    """They were answered in a project before labelloop chose them: neither rank nor chance did."""
    repeats: int
    """They have the answer of an earlier output with the same content."""


def answered(conn: Conn, loop: str, step: Step | None = None) -> list[Answered]:
    """Return the answered outputs that chance chose, with their newest answer; a withdrawn answer is none.

    With `step`, this and the other functions are about the outputs of that step only.
    """
    return (
        rows_of(conn, Answered)
        .execute(
            f"""
            select o.id as output_id, o.triggered, o.lane::text, o.group_key, o.received_at, o.source,
                o.label as predicted, {DOUBT} as doubt, a.label as answer, {OPINIONS}
            from outputs o join ({NEWEST}) a on a.output_id = o.id
            where {CHOSEN} and o.label is not null and a.reviewers > 0
            """,
            _names(loop, step),
        )
        .fetchall()
    )


def ranked(conn: Conn, loop: str, step: Step | None = None) -> list[Ranked]:
    """Count the answered outputs of the rule lane by their two labels."""
    return (
        rows_of(conn, Ranked)
        .execute(
            f"""
            select predicted, answer, opinions, count(*) as n from (
                select o.label as predicted, a.label as answer, {OPINIONS}
                from outputs o join ({NEWEST}) a on a.output_id = o.id
                where {OF_STEP} and o.loop = %(loop)s and o.lane = 'rule' and o.label is not null and a.reviewers > 0
            ) labels group by 1, 2, 3
            """,
            _names(loop, step),
        )
        .fetchall()
    )


def sizes(
    conn: Conn,
    loop: str,
    begins: Mapping[bool, Sequence[datetime]],
    newest: Mapping[bool, datetime],
    step: Step | None = None,
) -> list[Period]:
    """Count the outputs of each stratum by period.

    `begins` are the times that divide the periods; `newest` is when the newest answered output of a stratum came.
    """
    values = {"sent": list(begins.get(True, ())), "not_sent": list(begins.get(False, ()))}
    return (
        rows_of(conn, Period)
        .execute(
            f"""
            select triggered, case when triggered then width_bucket(received_at, %(sent)s::timestamptz[])
                else width_bucket(received_at, %(not_sent)s::timestamptz[]) end as period, count(*) as n,
                avg({DOUBT}) as doubt,
                count(*) filter (where received_at > coalesce(
                    case when triggered then %(newest_sent)s::timestamptz else %(newest)s::timestamptz end, '-infinity'
                )) as later
            from outputs o
            where {OF_STEP} and loop = %(loop)s and triggered is not null and label is not null and {NO_REPEAT}
            group by 1, 2
            """,
            {**_names(loop, step), "newest_sent": newest.get(True), "newest": newest.get(False), **values},
        )
        .fetchall()
    )


def open_(conn: Conn, loop: str, step: Step | None = None) -> dict[bool, Open]:
    """Count the outputs that chance chose and that have no answer, by stratum."""
    rows = (
        rows_of(conn, Open)
        .execute(
            f"""
            select triggered, count(*) filter (where state in ('waiting', 'pushing')) as waiting,
                count(*) filter (where state in ('in_review', 'answered') and not unreadable and not skipped)
                    as in_review,
                count(*) filter (where state in ('in_review', 'answered') and unreadable) as unreadable,
                count(*) filter (where state in ('in_review', 'answered') and skipped and not unreadable) as skipped,
                count(*) filter (where state in ('quarantined', 'withdrawn')) as set_aside
            from (
                select o.triggered, o.state,
                    exists (
                        select from unreadable u where u.output_id = o.id and u.until is null and u.decision is null
                    ) as unreadable,
                    exists (
                        select from annotation_versions v
                        where v.output_id = o.id and v.was_cancelled and not v.deleted
                    ) as skipped
                from outputs o left join ({NEWEST}) a on a.output_id = o.id
                where {CHOSEN} and o.label is not null and coalesce(a.reviewers, 0) = 0
            ) chosen group by triggered
            """,
            _names(loop, step),
        )
        .fetchall()
    )
    return {row.triggered: row for row in rows}


def left_out(conn: Conn, loop: str, step: Step | None = None) -> LeftOut:
    """Count the outputs that no estimate includes."""
    row = (
        rows_of(conn, LeftOut)
        .execute(
            f"""
            select count(*) filter (where label is null) as without_label,
                count(*) filter (where label is not null and triggered is null and not by_people) as unknown_stratum,
                count(*) filter (where label is not null and triggered is null and by_people) as chosen_by_people,
                count(*) filter (where label is not null and triggered is not null) as repeats
            from outputs o cross join lateral (
                select exists (select from adopted_tasks where output_id = o.id and chosen_by_people) as by_people
            ) a where {OF_STEP} and loop = %(loop)s and lane <> 'gold'
                and (label is null or triggered is null or not {NO_REPEAT})
            """,
            _names(loop, step),
        )
        .fetchone()
    )
    assert row is not None
    return row


def steps(conn: Conn, loop: str, most: int) -> list[Step]:
    """Return the steps that the outputs name, and the one without a name if there is another: at most `most`, those
    with the most outputs first. Gold counts nowhere.
    """
    rows = conn.execute(
        """
        select step from outputs where loop = %(loop)s and lane <> 'gold'
        group by step order by count(*) desc, step limit %(most)s
        """,
        {"loop": loop, "most": most},
    ).fetchall()
    found = [Step(row["step"]) for row in rows]
    return [] if found == [Step(None)] else found


def _names(loop: str, step: Step | None) -> dict[str, object]:
    return {"loop": loop, "all_steps": step is None, "step": step and step.name}
