"""The outputs that wait for people. The caller owns the transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from labelloop.queue.budget import NOTHING_EXHAUSTED, Exhausted
from labelloop.queue.lanes import Lane
from labelloop.queue.order import Waiting
from labelloop.store.database import Conn, rows_of
from labelloop.versions.version import VersionPair

OF_POOL = "p.output_id, p.key, p.lane, p.utility, p.champion, p.ranker"
FRESH = f"""
    select {OF_POOL}, true as fresh from unnest(enum_range(null::lane)) as l (lane) cross join lateral (
        select * from pool where loop = %(loop)s and lane = l.lane and champion = %(champion)s and ranker = %(ranker)s
        {{kept}} order by utility desc, key limit %(limit)s
    ) p
"""
# A skip scan of a loop's lane l: each pair is found by one look into the index, behind the one before it.
PAIRS = """
    with recursive pairs as (
        (select champion, ranker from pool where loop = %(loop)s and lane = l.lane order by champion, ranker limit 1)
        union all
        select next.champion, next.ranker from pairs v cross join lateral (
            select champion, ranker from pool
            where loop = %(loop)s and lane = l.lane and (champion, ranker) > (v.champion, v.ranker)
            order by champion, ranker limit 1
        ) next
    )
"""
STALE = f"""
    select {OF_POOL}, false as fresh from (
        select lane, %(limit)s - coalesce((%(have)s::jsonb ->> lane::text)::bigint, 0) as lacks
        from unnest(enum_range(null::lane)) as lanes (lane)
    ) l cross join lateral (
        {PAIRS}
        select p.* from pairs v cross join lateral (
            select * from pool where loop = %(loop)s and lane = l.lane and champion = v.champion and ranker = v.ranker
            {{kept}} order by utility desc, key limit l.lacks
        ) p
        where (v.champion, v.ranker) <> (%(champion)s, %(ranker)s) order by p.utility desc, p.key limit l.lacks
    ) p where l.lacks > 0
"""

WITHIN_BUDGET = """
    and (l.lane <> 'rule' or (
        select coalesce(o.source, '') <> all(%(sources)s) and coalesce(o.label, '') <> all(%(labels)s)
        from outputs o where o.id = pool.output_id))
"""


def best(
    conn: Conn, loop: str, limit: int, pair: VersionPair, exhausted: Exhausted = NOTHING_EXHAUSTED
) -> list[Waiting]:
    """Return the `limit` most useful outputs of each lane, ties by key; of the rule lane without those whose source or
    label is `exhausted`.

    Outputs that the versions in force (`pair`) have scored come first (`fresh`), then those of other versions. It takes
    milliseconds for any size of the pool, because it reads only the rows that it returns. If there are too few fresh
    ones, it reads as many of each other pair. With an exhausted source or label it also reads the rows that it leaves
    out.
    """
    values: dict[str, Any] = {"loop": loop, "limit": limit, "champion": pair.champion, "ranker": pair.ranker}
    values |= {"sources": list(exhausted.sources), "labels": list(exhausted.labels)}
    kept = WITHIN_BUDGET if exhausted.sources or exhausted.labels else ""
    with by_index(conn):
        rows = rows_of(conn, Waiting).execute(FRESH.format(kept=kept), values).fetchall()
        have = Counter(row.lane for row in rows)
        return rows + rows_of(conn, Waiting).execute(STALE.format(kept=kept), values | {"have": Jsonb(have)}).fetchall()


@contextmanager
def by_index(conn: Conn) -> Iterator[None]:
    """Make Postgres read by index inside the block.

    Right after most of a table has changed, the planner's statistics are out of date and it would choose slow plans.
    """
    ways = ("enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")
    conn.execute("; ".join(f"set local {way} = off" for way in ways))
    yield
    conn.execute("; ".join(f"set local {way} to default" for way in ways))


def lanes(conn: Conn, loop: str) -> list[Lane]:
    """Return the lanes in which an output waits."""
    rows = conn.execute(
        """
        select lane::text from unnest(enum_range(null::lane)) as l (lane)
        where exists (select from pool p where p.loop = %(loop)s and p.lane = l.lane)
        """,
        {"loop": loop},
    )
    return [Lane(row["lane"]) for row in rows]


def waiting(conn: Conn, loop: str, most: int) -> int:
    """Return the number of waiting outputs, counted up to `most`."""
    row = conn.execute(
        "select count(*) as n from (select from pool where loop = %(loop)s limit %(most)s) p",
        {"loop": loop, "most": most},
    ).fetchone()
    assert row is not None
    return int(row["n"])


def lock(conn: Conn, output_ids: Iterable[UUID]) -> None:
    """Lock these rows until the transaction ends, by output id. All callers use this order, so none can deadlock."""
    conn.execute(
        "select from pool where output_id = any(%(ids)s) order by output_id for update", {"ids": list(output_ids)}
    )


def take(conn: Conn, batch_id: UUID, places: dict[UUID, float]) -> int:
    """Move these rows into a batch, each with its priority; return how many were still in the pool."""
    lock(conn, places)
    return conn.execute(
        """
        with taken as (delete from pool where output_id = any(%(ids)s) returning *)
        insert into batch_items
            (batch_id, output_id, lane, utility, priority, label, confidence, champion, ranker, why, margin)
        select %(batch)s, t.output_id, t.lane, t.utility, p.priority, t.label, t.confidence, t.champion, t.ranker,
            t.why, t.margin
        from taken t join unnest(%(ids)s, %(priorities)s::float8[]) as p (output_id, priority) using (output_id)
        """,
        {"batch": batch_id, "ids": list(places), "priorities": list(places.values())},
    ).rowcount


def add(conn: Conn, output_id: UUID, utility: float) -> None:
    """Let an output wait again with this utility, as if it had just come."""
    conn.execute(
        """
        insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
        select id, loop, lane, %(utility)s, key, label, confidence, 'pipeline', 'pipeline'
        from outputs where id = %(id)s
        """,
        {"id": output_id, "utility": utility},
    )


def put_back(conn: Conn, batch_id: UUID) -> None:
    """Copy a batch's rows back to the pool. A row that is in the pool already is newer and stays."""
    conn.execute(
        """
        insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker, why, margin)
        select i.output_id, o.loop, i.lane, i.utility, o.key, i.label, i.confidence, i.champion, i.ranker, i.why,
            i.margin
        from batch_items i join outputs o on o.id = i.output_id
        where i.batch_id = %(batch)s and o.batch_id = %(batch)s and o.state = 'pushing'
        on conflict (output_id) do nothing
        """,
        {"batch": batch_id},
    )


def remove(conn: Conn, output_id: UUID) -> None:
    """Delete the output from the pool."""
    conn.execute("delete from pool where output_id = %(id)s", {"id": output_id})
