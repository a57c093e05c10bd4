"""The record: writing with it beside writing without it, and how fast entries are sealed into the chain."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from statistics import median

import httpx
import numpy as np

from benchmarks.support.goals import RECORD_ANSWER, RECORD_INTAKE, RECORD_SEAL, RECORD_STATES, Goal, Measured
from benchmarks.support.items import texts, texts_spec
from benchmarks.support.rooms import House, Servers, house
from benchmarks.support.turns import in_turn, percentile, ratios
from console.local.services import SYNC
from labelloop.errors import Failed
from labelloop.outputs.output import Output, OutputState
from labelloop.spec.loop import LoopSpec
from labelloop.store.tables import loops, outputs

LOOP = "recorded"
ROWS = 2_000
"""Outputs of a repeat: two requests."""
ANSWERS = 60


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    repeats, sealed = (2, 20_000) if quick else (8, 200_000)
    with house(servers) as our:
        spec = texts_spec(LOOP, trigger="model_confidence <= 1", audit=0, holdout=0)
        with our.database.transaction() as conn:
            loops.register(conn, spec)
        with our.serving(SYNC, our.settings.sync_url):
            desk = _Desk(our, spec)
            return [
                _beside(RECORD_INTAKE, desk, repeats, desk.take, "s for 2,000 outputs over HTTP"),
                _beside(RECORD_STATES, desk, repeats, desk.move, "s for 2,000 outputs through two states"),
                _beside(RECORD_ANSWER, desk, repeats, desk.answer, "s, p50 of 60 answers over HTTP"),
                _sealed(our, sealed),
            ]


class _Desk:
    def __init__(self, our: House, spec: LoopSpec) -> None:
        self.our, self.spec = our, spec
        self.items = texts(ROWS, np.random.default_rng(0))
        self.turn = count()
        token = {"Authorization": f"Bearer {our.settings.intake_token}"}
        self.http = httpx.Client(base_url=our.settings.sync_url, headers=token, timeout=60)

    def take(self) -> float:
        lines, _ = self._fresh()
        began = time.perf_counter()
        self._send(lines)
        return time.perf_counter() - began

    def move(self) -> float:
        lines, keys = self._fresh()
        self._send(lines)
        began = time.perf_counter()
        with self.our.database.transaction() as conn:
            ids = [one.id for one in outputs.find(conn, LOOP, keys)]
        for was, state in ((OutputState.WAITING, OutputState.PUSHING), (OutputState.PUSHING, OutputState.IN_REVIEW)):
            with self.our.database.transaction() as conn:
                if len(outputs.set_state(conn, ids, [was], state, None)) != ROWS:
                    raise Failed("not all outputs were moved")
        return time.perf_counter() - began

    def answer(self) -> float:
        lines, keys = self._fresh(ANSWERS)
        self._send(lines)
        times = []
        for key in keys:
            given = {"key": key, "reviewer_id": "anna@example.org", "approval": True}
            began = time.perf_counter()
            self.http.post(f"/v1/loops/{LOOP}/feedback", json=given).raise_for_status()
            times.append(time.perf_counter() - began)
        return percentile(times, 0.5)

    def _fresh(self, n: int = ROWS) -> tuple[list[bytes], list[str]]:
        turn = next(self.turn)
        made = [Output(f"{turn}/{i.key}", i.data, i.probabilities, i.model_version) for i in self.items[:n]]
        return [json.dumps(one.to_json()).encode() for one in made], [one.key for one in made]

    def _send(self, lines: list[bytes]) -> None:
        for start in range(0, len(lines), 1_000):
            body = b"\n".join(lines[start : start + 1_000])
            head = {"Content-Type": "application/x-ndjson"}
            self.http.post(f"/v1/loops/{LOOP}/outputs", content=body, headers=head).raise_for_status()


def _beside(goal: Goal, desk: _Desk, repeats: int, work: Callable[[], float], unit: str) -> Measured:
    def without() -> float:
        with _off(desk.our):
            return work()

    work(), without()
    ours, bare = in_turn(repeats, work, without)
    return Measured(goal, ratios(ours, bare), f"{median(ours):.4f} {unit}, without {median(bare):.4f}")


@contextmanager
def _off(our: House) -> Iterator[None]:
    _switch(our, "disable")
    try:
        yield
    finally:
        _switch(our, "enable")


def _switch(our: House, how: str) -> None:
    with our.database.transaction() as conn:
        for row in conn.execute(
            "select tgrelid::regclass::text as of_table, tgname from pg_trigger where tgname like 'record_%'"
        ).fetchall():
            conn.execute(f"alter table {row['of_table']} {how} trigger {row['tgname']}")


def _sealed(our: House, n: int) -> Measured:
    """Seal entries as the sync worker does, in parts."""
    with our.database.transaction() as conn:
        conn.execute("set local statement_timeout = 0")
        conn.execute(
            """
            insert into record_entries (actor, loop, what, key, operation, before, after, salt, said, content)
            select 1, 'recorded', 'outputs', gen_random_uuid()::text, 'update', '{"state": "waiting"}',
                '{"state": "pushing"}', uuid_send(gen_random_uuid()), null, sha256(i::text::bytea)
            from generate_series(1, %(n)s) i
            """,
            {"n": n},
        )
    rates, sealed = [], 10_000
    while sealed == 10_000:
        began = time.perf_counter()
        with our.database.transaction() as conn:
            row = conn.execute("select sealed from record_seal(10000)").fetchone()
        assert row is not None
        sealed = row["sealed"]
        if sealed == 10_000:
            rates.append(sealed / (time.perf_counter() - began))
    return Measured(RECORD_SEAL, rates, f"{n:,} entries in parts of 10,000")
