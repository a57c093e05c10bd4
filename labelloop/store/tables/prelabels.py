"""Statements about prelabels: labels and utilities of waiting outputs and open tasks."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.store.database import Conn, rows_of
from labelloop.store.tables import pool
from labelloop.versions.version import VersionPair

MAX_BYTES = 32 << 20
"""Bytes of data read at a time, as Postgres stores them."""
START = (2.0, "")
"""A utility and key before all others."""

_OPEN_TASKS = """
    select t.output_id, t.lane, t.utility, '' as key, t.label, t.confidence, t.champion, t.margin
    from tasks t join outputs o on o.id = t.output_id
    where o.loop = %(loop)s and o.state = 'in_review' and (t.champion, t.ranker) <> (%(champion)s, %(ranker)s)
    and (%(after)s::uuid is null or t.output_id > %(after)s) order by t.output_id limit %(limit)s
"""
# For each version pair, the rows after the last one that was read: equally useful ones, then less useful ones.
_OF_LANE = f"""
    select p.* from (select %(lane)s::lane) as l (lane) cross join lateral (
        {pool.PAIRS}
        select p.* from pairs v cross join lateral (
            (
                select output_id, lane, utility, key, label, confidence, champion, margin from pool
                where loop = %(loop)s and lane = l.lane and champion = v.champion and ranker = v.ranker
                and utility = %(utility)s and key > %(key)s order by key limit %(limit)s
            ) union all (
                select output_id, lane, utility, key, label, confidence, champion, margin from pool
                where loop = %(loop)s and lane = l.lane and champion = v.champion and ranker = v.ranker
                and utility < %(utility)s order by utility desc, key limit %(limit)s
            )
        ) p
        where (v.champion, v.ranker) <> (%(champion)s, %(ranker)s) order by p.utility desc, p.key limit %(limit)s
    ) p
"""
_WRITE = """
    update {} w set label = p.label, confidence = p.confidence, margin = p.margin, champion = p.champion,
        ranker = p.ranker,
        utility = case when w.lane = 'rule' then coalesce(p.utility, w.utility) else w.utility end,
        why = case when w.lane = 'rule' then coalesce(p.why, w.why) else w.why end
    from (select * from prelabels order by output_id) p where w.output_id = p.output_id
"""


class ToScore(NamedTuple):
    """A waiting output or an open task that other versions than those in force have scored."""

    output_id: UUID
    lane: str
    utility: float
    key: str
    label: str | None
    confidence: float | None
    champion: str
    """The version that gave the label."""
    margin: float | None
    data: str
    """JSON."""
    pipeline_label: str | None
    pipeline_confidence: float | None


class Prelabel(NamedTuple):
    """A new prelabel of one output. It keeps its utility or reason if the new one is None."""

    output_id: UUID
    utility: float | None
    label: str | None
    confidence: float | None
    champion: str
    ranker: str
    why: str | None = None
    margin: float | None = None
    """Probability of `label` less that of the next likeliest one; None if the version gives no probabilities."""


def of_tasks(conn: Conn, loop: str, pair: VersionPair, limit: int, after: UUID | None = None) -> list[ToScore]:
    """Return open tasks that other versions than `pair` have scored, by id, starting after the id `after`.

    It returns at most `limit` tasks, and fewer if the data is large.
    """
    return _read(conn, _OPEN_TASKS, "w.output_id", {"loop": loop, "limit": limit, "after": after, **_values(pair)})


def of_pool(
    conn: Conn, loop: str, lane: str, pair: VersionPair, limit: int, after: tuple[float, str] = START
) -> list[ToScore]:
    """Return waiting outputs of a lane that other versions than `pair` have scored, the most useful first.

    It starts after the utility and key in `after`. It reads by index, so rows that were scored meanwhile, and have
    another utility now, are not read again. It returns at most `limit` outputs, and fewer if the data is large.
    """
    values = {"loop": loop, "lane": lane, "limit": limit, "utility": after[0], "key": after[1], **_values(pair)}
    return _read(conn, _OF_LANE, "w.utility desc, w.key", values)


def any_stale(conn: Conn, loop: str, pair: VersionPair) -> bool:
    """Return whether other versions than `pair` have scored any waiting output or open task."""
    with pool.by_index(conn):
        row = conn.execute(
            f"""
            select exists (
                select from unnest(enum_range(null::lane)) as l (lane)
                where exists (
                    select from pool where loop = %(loop)s and lane = l.lane
                    and (champion, ranker) < (%(champion)s, %(ranker)s)
                ) or exists (
                    select from pool where loop = %(loop)s and lane = l.lane
                    and (champion, ranker) > (%(champion)s, %(ranker)s)
                )
            ) or exists ({_OPEN_TASKS}) as found
            """,
            {"loop": loop, "after": None, "limit": 1, **_values(pair)},
        ).fetchone()
    assert row is not None
    return bool(row["found"])


def count_stale(conn: Conn, loop: str, pair: VersionPair) -> int:
    """Count the waiting outputs and open tasks that other versions than `pair` have scored; reads all of them."""
    row = conn.execute(
        """
        select (select count(*) from pool where loop = %(loop)s and (champion, ranker) <> (%(champion)s, %(ranker)s))
             + (select count(*) from tasks t join outputs o on o.id = t.output_id
                where t.loop = %(loop)s and (t.champion, t.ranker) <> (%(champion)s, %(ranker)s)
                and o.state = 'in_review') as n
        """,
        {"loop": loop, **_values(pair)},
    ).fetchone()
    return int(row["n"]) if row else 0


def write(conn: Conn, prelabels: Iterable[Prelabel]) -> None:
    """Store these prelabels in the pool and in the open tasks. Only the rule lane takes the new utility and reason.

    Outputs of the other lanes keep their random utility, so that these lanes stay a random sample.
    """
    # In the order of pool.lock, which all callers use, so that none can deadlock.
    prelabels = sorted(prelabels, key=itemgetter(0))
    conn.execute(
        """
        create temp table prelabels (
            output_id uuid, utility float8, label text, confidence float8, champion text, ranker text, why text,
            margin float8
        ) on commit drop
        """
    )
    with conn.cursor().copy("copy prelabels from stdin (format binary)") as copy:
        copy.set_types(["uuid", "float8", "text", "float8", "text", "text", "text", "float8"])
        for p in prelabels:
            copy.write_row(p)
    with pool.by_index(conn):
        for table in ("pool", "tasks"):
            conn.execute(_WRITE.format(table))


def _values(pair: VersionPair) -> dict[str, str]:
    """Return the pair as parameters of a statement."""
    return {"champion": pair.champion, "ranker": pair.ranker}


def _read(conn: Conn, which: str, order: str, values: dict[str, Any]) -> list[ToScore]:
    """Return the rows of the select `which` with their outputs' data, at most MAX_BYTES of it and at least one row."""
    with pool.by_index(conn):
        return (
            rows_of(conn, ToScore)
            .execute(
                f"""
            select output_id, lane::text, utility, key, label, confidence, champion, margin, data::text as data,
                pipeline_label, pipeline_confidence
            from (
                select w.*, o.data, o.label as pipeline_label, o.confidence as pipeline_confidence,
                    sum(pg_column_size(o.data)) over (order by {order}) - pg_column_size(o.data) as bytes_before
                from ({which}) w join outputs o on o.id = w.output_id
            ) w
            where bytes_before < {MAX_BYTES} order by {order}
            """,
                values,
                binary=True,
            )
            .fetchall()
        )
