"""A loop's figures by day, in UTC: one statement a function, of the days since `since`; the caller's transaction.

Days without a row have no data. Each statement reads an index by time, so that its cost is that of the days.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from labelloop.store.database import Conn


def intake(conn: Conn, loop: str, since: datetime) -> list[dict[str, Any]]:
    """Outputs that came in, and those of them that are for people, whatever the lane."""
    return conn.execute(
        """
        select (received_at at time zone 'UTC')::date as day, count(*) as outputs,
            count(*) filter (where lane <> 'pass') as for_people
        from outputs where loop = %(loop)s and received_at >= %(since)s group by 1 order by 1
        """,
        {"loop": loop, "since": since},
    ).fetchall()


def answers(conn: Conn, loop: str, since: datetime) -> list[dict[str, Any]]:
    """Outputs with a clear answer of that day; the held-out ones among them, and those of which the label that people
    were shown was the answer; and the median of the seconds from task to answer.
    """
    return conn.execute(
        """
        select day, count(*) as answers, count(*) filter (where judges) as held_out,
            count(*) filter (where judges and shown = label) as correct,
            percentile_cont(0.5) within group (order by waited_s) filter (where waited_s >= 0) as task_median_s
        from (
            select distinct on (a.output_id, day) day, a.label, o.holdout and o.lane <> 'gold' as judges,
                case when t.output_id is null then o.label else t.label end as shown,
                extract(epoch from a.resolved_at - t.pushed_at)::float8 as waited_s
            from answers a cross join lateral (select (a.resolved_at at time zone 'UTC')::date as day) d
            join outputs o on o.id = a.output_id left join tasks t on t.output_id = a.output_id
            where a.loop = %(loop)s and a.resolved_at >= %(since)s and a.label is not null
            order by a.output_id, day, a.seq desc
        ) newest group by day order by day
        """,
        {"loop": loop, "since": since},
    ).fetchall()


def person_seconds(conn: Conn, loop: str, since: datetime) -> list[dict[str, Any]]:
    """Median and 90 % quantile of the seconds that a person took, of the feedback behind that day's answers."""
    return conn.execute(
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
