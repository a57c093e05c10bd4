"""A loop's figures by day in UTC, since a given time. A day without data has no row.

Each statement reads an index by time, so its cost depends on the number of days and not on the age of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class IntakeDay:
    """Outputs received on one day."""

    day: date
    outputs: int
    for_people: int
    """Those that go to people, in any lane."""


@dataclass(frozen=True, slots=True)
class AnswersDay:
    """Outputs that got a clear answer on one day."""

    day: date
    answers: int
    held_out: int
    """Those in the hold-out set, without gold items and without answers given before labelloop chose the task."""
    pairs: Sequence[tuple[str, str | None]]
    """The answer and the shown label of each of these."""
    task_median_s: float | None
    """Median seconds from task to answer; None if no task's time is known."""


@dataclass(frozen=True, slots=True)
class PersonSecondsDay:
    """Seconds that a person took for an answer, on one day."""

    day: date
    person_median_s: float
    person_p90_s: float
    """90 % quantile."""


def intake(conn: Conn, loop: str, since: datetime) -> list[IntakeDay]:
    """Return the outputs received on each day, oldest day first."""
    cursor = rows_of(conn, IntakeDay)
    return cursor.execute(
        """
        select (received_at at time zone 'UTC')::date as day, count(*) as outputs,
            count(*) filter (where lane <> 'pass') as for_people
        from outputs where loop = %(loop)s and received_at >= %(since)s group by 1 order by 1
        """,
        {"loop": loop, "since": since},
    ).fetchall()


def answers(conn: Conn, loop: str, since: datetime) -> list[AnswersDay]:
    """Return the outputs answered on each day, oldest day first; of several answers on a day the newest counts.

    Answers that people gave in Label Studio before labelloop chose the task are counted, and in no other figure.
    """
    cursor = rows_of(conn, AnswersDay)
    return cursor.execute(
        """
        select day, count(*) as answers, count(*) filter (where judges) as held_out,
            coalesce(jsonb_agg(jsonb_build_array(label, shown)) filter (where judges), '[]') as pairs,
            percentile_cont(0.5) within group (order by waited_s) filter (where waited_s >= 0) as task_median_s
        from (
            select distinct on (a.output_id, day) day, a.label,
                o.holdout and o.lane <> 'gold' and c.output_id is null as judges,
                case when t.output_id is null then o.label else t.label end as shown,
                case when c.output_id is null then extract(epoch from a.resolved_at - t.pushed_at)::float8 end
                    as waited_s
            from answers a cross join lateral (select (a.resolved_at at time zone 'UTC')::date as day) d
            join outputs o on o.id = a.output_id left join tasks t on t.output_id = a.output_id
            left join adopted_tasks c on c.output_id = a.output_id and c.chosen_by_people
            where a.loop = %(loop)s and a.resolved_at >= %(since)s
            order by a.output_id, day, a.seq desc
        ) newest where label is not null group by day order by day
        """,
        {"loop": loop, "since": since},
    ).fetchall()


def person_seconds(conn: Conn, loop: str, since: datetime) -> list[PersonSecondsDay]:
    """Return the seconds a person took, from the feedback behind each day's answers, oldest day first."""
    cursor = rows_of(conn, PersonSecondsDay)
    return cursor.execute(
        """
        select day, percentile_cont(0.5) within group (order by f.lead_time_s) as person_median_s,
            percentile_cont(0.9) within group (order by f.lead_time_s) as person_p90_s
        from (
            select distinct (resolved_at at time zone 'UTC')::date as day, output_id from answers
            where loop = %(loop)s and resolved_at >= %(since)s and label is not null
        ) answered join feedback f on f.model_output_id = answered.output_id
        where f.lead_time_s is not null group by day order by day
        """,
        {"loop": loop, "since": since},
    ).fetchall()
