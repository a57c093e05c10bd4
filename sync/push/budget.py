"""Budget: which waiting outputs it lets into the window, and which ones pass because the budget kept them out."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from labelloop.queue.budget import NOTHING_EXHAUSTED, Origin, Spent
from labelloop.queue.lanes import Lane
from labelloop.queue.order import Waiting
from labelloop.spec.loop import LoopSpec
from labelloop.store import budget
from labelloop.store.database import Conn, Database
from labelloop.store.tables import pool, projects
from labelloop.versions.version import VersionPair

PASSED_AT_ONCE = 2_000
"""Outputs that pass in one transaction: intake and pull wait for it."""


def best(
    conn: Conn, loop: str, limit: int, pair: VersionPair, spent: Spent | None, places: int
) -> tuple[list[Waiting], Mapping[UUID, Origin]]:
    """Return the `limit` most useful outputs of each lane, and the origins of those of the rule lane.

    Outputs of the rule lane whose source or label has no budget left are left out. If the budget lets fewer than
    `places` of the others in, more are read, so that a source with many useful outputs does not hide the others. The
    origins are empty if the budget limits neither sources nor labels.
    """
    if spent is None or not spent.budget.has_parts:
        return pool.best(conn, loop, limit, pair), {}
    rows, origins = dict[UUID, Waiting](), dict[UUID, Origin]()
    exhausted = spent.exhausted()
    while True:
        found = pool.best(conn, loop, limit, pair, exhausted)
        rows |= {row.output_id: row for row in found}
        ranked = [row.output_id for row in found if row.lane == Lane.RULE]
        origins |= budget.origins(conn, ranked)
        let_in = list(spent.within(origins, origins))
        then = spent.exhausted(origins[id_] for id_ in let_in)
        if len(ranked) < limit or len(let_in) >= places or then == exhausted:
            return list(rows.values()), origins
        exhausted = then


def pass_over(database: Database, spec: LoopSpec) -> int:
    """Let what the budget of the last day kept out pass, if the spec says so; return how many outputs that are.

    It happens once a day (UTC). Only outputs of the rule lane pass, because estimates rest on the others.
    """
    if spec.budget is None or spec.budget.over != "pass":
        return 0
    with database.transaction() as conn:
        today = budget.today(conn)
        if budget.is_over(conn, spec.name, today):
            return 0
        last = budget.last_day(conn, spec.name, today)
        spent = None if last is None else budget.spent(conn, spec, last)
        exhausted = NOTHING_EXHAUSTED if spent is None else spent.exhausted()
    passed, n = 0, PASSED_AT_ONCE
    while last is not None and exhausted and n == PASSED_AT_ONCE:
        with database.transaction() as conn:
            projects.lock_hop(conn, spec.name, "push")
            n = budget.pass_over(conn, spec.name, last, exhausted, PASSED_AT_ONCE)
        passed += n
    with database.transaction() as conn:
        budget.begin(conn, spec.name, today)
    return passed
