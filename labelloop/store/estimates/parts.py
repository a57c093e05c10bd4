"""Statements about parts of a loop's outputs: how many of each part, stratum and period there are, and how confident a
model is in its labels of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labelloop.store.database import Conn, rows_of
from labelloop.store.pipelines.repeats import NO_REPEAT
from labelloop.store.questions.error_rate import DOUBT

PIPELINE = f"""
    select o.triggered, o.received_at, o.source, o.label, o.confidence from outputs o
    where o.loop = %(loop)s and o.triggered is not null and o.label is not null and {NO_REPEAT}
"""
"""The outputs with a label of the pipeline."""
EXPRESSIONS: Mapping[str, str] = {
    "all": "''",
    "week": "to_char(date_trunc('week', o.received_at at time zone 'utc'), 'YYYY-MM-DD')",
    "source": "coalesce(o.source, '')",
    "label": "o.label",
}
"""Ways to divide outputs into parts. A week is named by its Monday in UTC, and "" is no source."""


@dataclass(frozen=True, slots=True)
class Size:
    """Outputs of one part, stratum and period of arrival."""

    part: str
    triggered: bool
    period: int
    """0 is the first."""
    n: int
    doubt: float
    """Mean of 1 - the model's confidence."""


def sizes(
    conn: Conn,
    of: str,
    by: str,
    begins: Mapping[tuple[str, bool], Sequence[datetime]],
    values: Mapping[str, Any],
) -> list[Size]:
    """Count the outputs of the select `of` by part, stratum and period. `begins`: the times that divide the periods of
    each part and stratum. `values` are the parameters of `of`.
    """
    edges = [(part, triggered, time) for (part, triggered), times in begins.items() for time in times]
    return (
        rows_of(conn, Size)
        .execute(
            f"""
            with edges as (
                select part, triggered, array_agg(at order by at) as times
                from unnest(%(parts)s::text[], %(sides)s::boolean[], %(times)s::timestamptz[])
                    as e (part, triggered, at)
                group by 1, 2
            )
            select o.part, o.triggered,
                width_bucket(o.received_at, coalesce(e.times, array[]::timestamptz[])) as period,
                count(*) as n, avg(o.doubt) as doubt
            from (
                select {EXPRESSIONS[by]} as part, o.triggered, o.received_at, {DOUBT} as doubt from ({of}) o
            ) o left join edges e using (part, triggered)
            group by 1, 2, 3
            """,
            {
                **values,
                "parts": [part for part, _, _ in edges],
                "sides": [triggered for _, triggered, _ in edges],
                "times": [time for _, _, time in edges],
            },
        )
        .fetchall()
    )
