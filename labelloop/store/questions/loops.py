"""Statements of a loop's report: response times, agreement and the number of held-out answers."""

from __future__ import annotations

from dataclasses import dataclass

from labelloop.store.database import Conn, rows_of

LAST = 200
"""Newest answers from which response times and agreement are measured: the state of today."""


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """Speed of the newest answers."""

    answers: int
    """Outputs among the newest answers."""
    person_median_s: float | None
    """Median seconds that a person took."""
    person_p90_s: float | None
    """90 % quantile of the same."""
    task_median_s: float | None
    """Median seconds from task to answer, without answers that people gave before labelloop chose the task."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of the reviewers on the newest outputs that several of them answered."""

    outputs: int
    """Outputs with an agreed answer."""
    agreement: float | None
    """Mean agreement of the reviewers with the agreed answer of these outputs, 0 to 1; None without outputs."""
    ties: int
    """Further outputs, without an agreed answer."""


def response_times(conn: Conn, loop: str) -> ResponseTimes:
    """Return the response times of the newest answers."""
    cursor = rows_of(conn, ResponseTimes)
    row = cursor.execute(
        """
        with last as (
            select output_id, min(resolved_at) as at from (
                select output_id, resolved_at from answers
                where loop = %(loop)s and label is not null order by seq desc limit %(last)s
            ) newest group by 1
        )
        select (select count(*) from last) as answers,
            percentile_cont(0.5) within group (order by f.lead_time_s) as person_median_s,
            percentile_cont(0.9) within group (order by f.lead_time_s) as person_p90_s,
            (select percentile_cont(0.5) within group (order by extract(epoch from l.at - t.pushed_at))
             from last l join tasks t using (output_id) where l.at >= t.pushed_at and not exists (
                select from adopted_tasks c where c.output_id = l.output_id and c.chosen_by_people
             ))::double precision as task_median_s
        from last left join feedback f on f.model_output_id = last.output_id
        """,
        {"loop": loop, "last": LAST},
    ).fetchone()
    assert row is not None
    return row


def agreement(conn: Conn, loop: str) -> Agreement:
    """Return the agreement on the newest outputs that several reviewers answered."""
    cursor = rows_of(conn, Agreement)
    row = cursor.execute(
        """
        with last as (
            select distinct on (output_id) label, agreement from (
                select output_id, seq, label, agreement from answers
                where loop = %(loop)s and reviewers > 1 order by seq desc limit %(last)s
            ) newest order by output_id, seq desc
        )
        select count(label) as outputs, avg(agreement) filter (where label is not null) as agreement,
            count(*) filter (where label is null) as ties
        from last
        """,
        {"loop": loop, "last": LAST},
    ).fetchone()
    assert row is not None
    return row
