"""The pool: the best outputs of each lane, by index, for any share of outputs that the current versions have scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from labelloop.spec.folder import parse
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, pool
from labelloop.versions.version import VersionPair
from tests.support.sync_loop import XML, YAML

MANY = 100_000
LANES = ("rule", "control", "audit", "holdout", "gold")
OUTPUTS = """
    insert into outputs (loop, key, body_sha256, group_key, data, model_version, lane, inclusion_probability, holdout,
                         state)
    select 'pets', 'k' || i, '', 'g', '{}', 'm', 'rule', 1, false, 'waiting' from generate_series(1, %(n)s) i
"""


@dataclass(frozen=True)
class Row:
    lane: str
    utility: float
    key: str
    pair: VersionPair


PAIRS = [
    VersionPair(*pair)
    for pair in [
        ("", ""),
        ("pipeline", "pipeline"),
        ("0123", "0123"),
        ("0123", "4567"),
        ("0123", "0122"),
        ("89ab", "89ab"),
    ]
]
rows = st.lists(
    st.builds(
        Row,
        st.sampled_from(LANES[:3]),
        st.sampled_from([0.0, 0.25, 0.5, 1.0]),
        st.text("aZ_/9", min_size=1, max_size=3),
        st.sampled_from(PAIRS),
    ),
    max_size=24,
    unique_by=lambda row: row.key,
)


@pytest.fixture
def conn(database: Database) -> Iterator[Conn]:
    with database.transaction() as conn:
        loops.register(conn, parse("pets", YAML, XML))
        conn.execute(OUTPUTS, {"n": 24})
        yield conn


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(waiting=rows, limit=st.integers(1, 6), pair=st.sampled_from([*PAIRS[1:], VersionPair("0123", "new")]))
def test_the_best_are_those_of_a_full_sort_of_each_lane(
    conn: Conn, waiting: list[Row], limit: int, pair: VersionPair
) -> None:
    with conn.transaction(force_rollback=True):
        for output, row in zip(conn.execute("select id from outputs").fetchall(), waiting, strict=False):
            conn.execute(
                "insert into pool (output_id, loop, lane, utility, key, champion, ranker)"
                " values (%s, 'pets', %s, %s, %s, %s, %s)",
                (output["id"], row.lane, row.utility, row.key, row.pair.champion, row.pair.ranker),
            )
        found = pool.best(conn, "pets", limit, pair)
    for lane in LANES:
        of_lane = [row for row in waiting if row.lane == lane]
        ranked = sorted(of_lane, key=lambda row: (row.pair != pair, -row.utility, row.key))
        said = [row for row in found if row.lane == lane]
        assert [(row.key, VersionPair(row.champion, row.ranker)) for row in said] == [
            (row.key, row.pair) for row in ranked[:limit]
        ]
        assert all(row.fresh == ((row.champion, row.ranker) == (pair.champion, pair.ranker)) for row in said)


FILL = """
    insert into pool (output_id, loop, lane, utility, key, champion, ranker)
    select id, 'pets', (case when i % 10 = 0 then 'audit' else 'rule' end)::lane, (i * 7919 % 10007) / 10007.0,
        key, 'v0', 'v0'
    from (select *, row_number() over () as i from outputs) o
"""
CHANGE = """
    update pool p set champion = case when i <= 70000 then 'v1' else 'v0' end,
        ranker = case when i <= 100 then 'v7' when i <= 70000 then 'v' || i % 5 + 1 else 'v0' end
    from (select output_id, row_number() over (order by lane, output_id) as i from pool) n
    where n.output_id = p.output_id
"""


def test_only_the_wanted_rows_are_read_and_not_the_pool(database: Database) -> None:
    """Also just after most of it has changed, while the planner believes what was before."""
    with database.transaction() as conn:
        loops.register(conn, parse("pets", YAML, XML))
        conn.execute(OUTPUTS, {"n": MANY})
        conn.execute(FILL)
        conn.execute("analyze pool")
        conn.execute(CHANGE)
    for pair, fresh in (("v0", "v0"), 30_000), (("v1", "v7"), 100), (("v1", "v9"), 0):
        with database.transaction() as conn:
            n = conn.execute("select count(*) as n from pool where (champion, ranker) = (%s, %s)", pair).fetchone()
            assert n == {"n": fresh}
            for statement in (pool.FRESH.format(kept=""), pool.STALE.format(kept="")):
                nodes = list(_nodes(_plan(conn, statement, VersionPair(*pair))))
                of_pool = [node for node in nodes if node.get("Relation Name") == "pool"]
                assert {node["Node Type"] for node in of_pool} <= {"Index Scan", "Index Only Scan"}
                assert {node["Index Name"] for node in of_pool} == {"pool_next"}
                read = sum(node["Actual Rows"] * node["Actual Loops"] for node in of_pool)
                sorted_ = [node["Actual Rows"] for node in nodes if node["Node Type"] == "Sort"]
                assert max([read, *sorted_]) <= 2 * 7 * (200 + 1), "two lanes, at most seven pairs, 200 of each"


def _plan(conn: Conn, statement: str, pair: VersionPair) -> dict[str, Any]:
    values = {"loop": "pets", "limit": 200, "champion": pair.champion, "ranker": pair.ranker, "have": Jsonb({})}
    with pool.by_index(conn):
        said: Any = conn.execute("explain (analyze, format json) " + statement, values).fetchone()
    plan: dict[str, Any] = said["QUERY PLAN"][0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
