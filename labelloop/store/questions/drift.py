"""Statements about drift: which outputs came in before and recently, and how accurate the recent labels are."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from labelloop.store.database import Conn, rows_of


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Number of outputs with the same label, tenth of confidence and period."""

    label: str | None
    tenth: int | None
    """1 (confidence 0 to 0.1) to 10 (0.9 to 1); None if the output has no confidence."""
    recent: bool
    """True: received after `since`; False: received up to `before`."""
    n: int


def arrivals(conn: Conn, loop: str, before: datetime, since: datetime) -> list[Arrivals]:
    """Count the outputs received up to `before` and after `since`, by label and confidence.

    Only outputs of one version of the pipeline's model count: the version with the most recent outputs. Confidences of
    different models cannot be compared.
    """
    cursor = rows_of(conn, Arrivals)
    return cursor.execute(
        """
        with now as (
            select model_version from outputs where loop = %(loop)s and received_at > %(since)s
            group by model_version order by count(*) desc, model_version limit 1
        )
        select o.label, width_bucket(o.confidence, 0, 1.000001, 10) as tenth, o.received_at > %(since)s as recent,
            count(*) as n
        from outputs o join now using (model_version)
        where o.loop = %(loop)s and (o.received_at <= %(before)s or o.received_at > %(since)s)
        group by 1, 2, 3
        """,
        {"loop": loop, "before": before, "since": since},
    ).fetchall()


def correct_recently(conn: Conn, loop: str, champion: str | None, after: int, limit: int) -> tuple[int, int]:
    """Return (correct, answers) of the newest held-out answers after the cut `after`, at most `limit` of them.

    `champion` is the short name of the version whose prelabels are compared with the answers. If it is None, the
    pipeline's own labels are compared.
    """
    row = conn.execute(
        """
        select count(*) filter (where predicted = label) as correct, count(*) as n from (
            select label, predicted from (
                select distinct on (a.output_id) a.seq, a.label, t.champion as served,
                    case when %(champion)s::text is null then o.label else t.label end as predicted
                from answers a join outputs o on o.id = a.output_id left join tasks t on t.output_id = o.id
                where a.loop = %(loop)s and a.seq > %(after)s and o.holdout and o.lane <> 'gold'
                order by a.output_id, a.seq desc
            ) newest
            where label is not null
            and (%(champion)s::text is null or served = %(champion)s)
            order by seq desc limit %(limit)s
        ) recent
        """,
        {"loop": loop, "champion": champion, "after": after, "limit": limit},
    ).fetchone()
    assert row is not None
    return int(row["correct"]), int(row["n"])
