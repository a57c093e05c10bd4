"""What came in and what was right, then and lately: one statement a function; the caller owns the transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from labelloop.store.database import Conn


def arrivals(conn: Conn, loop: str, before: datetime, since: datetime) -> list[dict[str, Any]]:
    """Counts of outputs by label, tenth of confidence (1 to 10) and whether they came after `since` or up to `before`.

    Of one version of the pipeline's model, which said most of what is recent: another one is sure of other things.
    """
    return conn.execute(
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


def right_lately(conn: Conn, loop: str, champion: str | None, after: int, limit: int) -> tuple[int, int]:
    """(right, answers): of the newest held-out answers behind the cut `after`, which the one who serves had right.

    `champion`: its short name, and what its prelabel said counts; None: the pipeline's own outputs.
    """
    row = conn.execute(
        """
        select count(*) filter (where said = label) as correct, count(*) as n from (
            select label, said from (
                select distinct on (a.output_id) a.seq, a.label, t.champion as served,
                    case when %(champion)s::text is null then o.label else t.label end as said
                from answers a join outputs o on o.id = a.output_id left join tasks t on t.output_id = o.id
                where a.loop = %(loop)s and a.seq > %(after)s and o.holdout and o.lane <> 'gold'
                order by a.output_id, a.seq desc
            ) newest
            where label is not null
            and (%(champion)s::text is null or served = %(champion)s)
            order by seq desc limit %(limit)s
        ) lately
        """,
        {"loop": loop, "champion": champion, "after": after, "limit": limit},
    ).fetchone()
    assert row is not None
    return int(row["correct"]), int(row["n"])
