"""Statements about drift: which outputs came in before and recently, and how the champion's labels were answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from labelloop.store.database import Conn, rows_of

PIECES = 64
"""Pieces of time that each side is divided into, with the same number of outputs each; midnights divide further."""
BUCKETS = 64
"""Buckets that a hash puts the groups into."""
MOST_OUTPUTS = 100_000
"""About the largest number of outputs of each side that are counted; of more, a hash takes a share."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Number of outputs of one cell, in one piece of time or in one bucket of groups."""

    recent: bool
    """True: received after `since`; False: received up to `before`."""
    label: str | None
    tenth: int | None
    """1 (confidence 0 to 0.1) to 10 (0.9 to 1). Each row has a label or a tenth."""
    began: datetime | None
    """Start of the piece of time; None in the rows that count by bucket."""
    bucket: int | None
    """0 to BUCKETS - 1; None in the rows that count by piece."""
    n: int


def arrivals(conn: Conn, loop: str, before: datetime, since: datetime) -> list[Arrivals]:
    """Count the outputs received up to `before` and after `since`: by label and by confidence, by time and by group.

    Only outputs of one version of the pipeline's model count: the version with the most recent outputs. Confidences of
    different models cannot be compared. Every cell has a number as its key, so that Postgres counts all four ways with
    hash tables in one pass.
    """
    cursor = rows_of(conn, Arrivals)
    return cursor.execute(
        f"""
        with now as (
            select model_version from outputs where loop = %(loop)s and received_at > %(since)s
            group by model_version order by count(*) desc, model_version limit 1
        ), sides as (
            select count(*) as n, min(received_at) as first, max(received_at) as last,
                percentile_disc(array(select i / {PIECES}.0 from generate_series(0, {PIECES - 1}) i))
                    within group (order by received_at) as at
            from outputs where loop = %(loop)s and received_at <= %(before)s
            and model_version = (select model_version from now)
            union all
            select count(*), min(received_at), max(received_at),
                percentile_disc(array(select i / {PIECES}.0 from generate_series(0, {PIECES - 1}) i))
                    within group (order by received_at)
            from outputs where loop = %(loop)s and received_at > %(since)s
            and model_version = (select model_version from now)
        ), edges as (
            select array_agg(at order by at) as at from (
                select unnest(at) as at from sides
                union select generate_series(date_trunc('day', first, 'UTC'), last, '1 day') from sides
            ) every
        ), shares as (
            select max(ceil(n / {MOST_OUTPUTS}.0)::integer) filter (where first <= %(before)s) as before,
                max(ceil(n / {MOST_OUTPUTS}.0)::integer) filter (where first > %(since)s) as recent
            from sides
        ), chosen as materialized (
            select label, (piece::bigint << 32) + cell as piece_label, piece * 16 + tenth as piece_tenth,
                (bucket::bigint << 32) + cell as bucket_label, bucket * 16 + tenth as bucket_tenth
            from (
                select label, hashtext(label)::bigint & 4294967295 as cell,
                    width_bucket(confidence, 0, 1.000001, 10) as tenth,
                    width_bucket(received_at, (select at from edges)) as piece,
                    (hashtext(group_key) & {BUCKETS - 1})
                        + case when received_at > %(since)s then {BUCKETS} else 0 end as bucket
                from outputs
                where loop = %(loop)s and model_version = (select model_version from now)
                and case when received_at <= %(before)s then uuid_hash(id) %% (select before from shares) = 0
                    when received_at > %(since)s then uuid_hash(id) %% (select recent from shares) = 0 end
                offset 0
            ) one
        ), counted as (
            select coalesce(piece_label >> 32, piece_tenth / 16)::integer as piece,
                coalesce(bucket_label >> 32, bucket_tenth / 16)::integer as bucket,
                case when grouping(piece_label) = 0 or grouping(bucket_label) = 0 then min(label collate "C") end
                    as label,
                coalesce(piece_tenth, bucket_tenth) %% 16 as tenth, count(*) as n
            from chosen group by grouping sets ((piece_label), (piece_tenth), (bucket_label), (bucket_tenth))
        )
        select coalesce((select at[piece] from edges) > %(since)s, bucket >= {BUCKETS}) as recent, label, tenth,
            (select at[piece] from edges) as began, bucket %% {BUCKETS} as bucket, n
        from counted where piece is not null or bucket is not null
        """,
        {"loop": loop, "before": before, "since": since},
    ).fetchall()
