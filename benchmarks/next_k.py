"""The next 50 of ten million that wait, whatever share of them the versions in force have scored."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.support.goals import NEXT_FRESH, NEXT_HALF, NEXT_STALE, Goal, Measured
from benchmarks.support.items import texts_spec
from benchmarks.support.rooms import House, Servers, house
from labelloop.store.tables import loops, pool
from labelloop.versions.version import VersionPair

LOOP, K = "waiting", 50
NOW, NEVER = "0123456789ab", "ffffffffffff"
FILL = """
    insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
    select gen_random_uuid(), '{loop}',
        (case when share < .7 then 'rule' when share < .9 then 'holdout' when share < .95 then 'audit'
              when share < .99 then 'control' else 'gold' end)::lane,
        random(), 'item/' || i, 'label', .5, {version}, {version}
    from (select i, random() as share from generate_series(1, {n}) i) i
"""
# What came in since the last pass, what that one scored, and what one that was overtaken did.
HALF = f"case when i % 2 = 0 then '{NOW}' else (array['pipeline', 'last', 'other'])[1 + i / 2 % 3] end"


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, calls = (100_000, 20) if quick else (10_000_000, 200)
    with house(servers) as our:
        with our.database.transaction() as conn:
            loops.register(conn, texts_spec(LOOP))
            # A row of the pool without its output is wrong anywhere but here.
            conn.execute("alter table pool drop constraint pool_output_id_fkey, drop constraint pool_loop_fkey")
        _fill(our, n, f"'{NOW}'")
        fresh = _times(our, NOW, calls)
        scan_s = _by_scan(our)
        _fill(our, n, HALF)
        half, stale = _times(our, NOW, calls), _times(our, NEVER, calls)
    facts = f"of each of 5 lanes, {n:,} rows, {calls} calls on one connection, the first {{:.1f}} ms"
    return [
        _measured(NEXT_FRESH, fresh, f"{facts}; by a scan of the rule lane {scan_s:.1f} s"),
        _measured(NEXT_HALF, half, f"{facts}; the other half of three other versions"),
        _measured(NEXT_STALE, stale, f"{facts}; all of four other versions"),
    ]


def _measured(goal: Goal, times: list[float], facts: str) -> Measured:
    """Medians of tenths of the calls, so that the range is not of single calls."""
    tenth = len(times) // 10
    parts = [median(times[i : i + tenth]) for i in range(0, len(times), tenth)]
    return Measured(goal, parts, facts.format(times[0]))


def _fill(our: House, n: int, version: str) -> None:
    with our.database.transaction() as conn:
        conn.execute("set local statement_timeout = 0")
        conn.execute("truncate pool")
        # As many rows at once as come in a million requests: the index is made when they are in.
        made = conn.execute("select pg_get_indexdef('pool_next'::regclass) as index").fetchone()
        assert made is not None
        conn.execute("drop index pool_next")
        conn.execute(FILL.format(loop=LOOP, version=version, n=n))
        conn.execute(made["index"])
    with our.database.transaction() as conn:
        conn.execute("set local statement_timeout = 0")
        conn.execute("analyze pool")


def _times(our: House, version: str, calls: int) -> list[float]:
    """Milliseconds of each call, with the connection that is there and the transaction."""
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        with our.database.transaction() as conn:
            rows = pool.best(conn, LOOP, K, VersionPair(version, version))
        times.append((time.perf_counter() - began) * 1000)
        assert len(rows) == 5 * K
    return times


def _by_scan(our: House) -> float:
    """Seconds for one lane without an index, as it would be if the pool had none."""
    with our.database.transaction() as conn:
        conn.execute("set local enable_indexscan = off; set local enable_bitmapscan = off")
        conn.execute("set local statement_timeout = 0")
        began = time.perf_counter()
        conn.execute(
            "select * from pool where loop = %s and lane = 'rule' and champion = %s"
            " order by utility desc, key limit %s",
            (LOOP, NOW, K),
        ).fetchall()
        return time.perf_counter() - began
