"""Answering: 1,000 pipelines that wait beside one that submits, and the time of an output that nobody reviews."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import httpx
import psutil

from benchmarks.support.goals import (
    DECIDE,
    WAITERS_LAST,
    WAITERS_MEMORY,
    WAITERS_SUBMIT,
    Measured,
)
from benchmarks.support.items import LABELS, texts_spec
from benchmarks.support.rooms import House, Servers, house
from benchmarks.support.turns import percentile
from benchmarks.support.waiters import Waiters
from console.local.services import SYNC
from labelloop.client import Client
from labelloop.errors import Failed
from labelloop.outputs.output import Output
from labelloop.store.tables import loops

LOOP = "answered"
WAITERS = 1_000
REST = (1 - 0.5) / (len(LABELS) - 1)
UNSURE = {label: 0.5 if i == 0 else REST for i, label in enumerate(LABELS)}
SURE = {label: 0.991 if i == 0 else 0.001 for i, label in enumerate(LABELS)}


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (30, 1) if quick else (300, 5)
    with house(servers) as our:
        with our.database.transaction() as conn:
            loops.register(conn, texts_spec(LOOP, audit=0, holdout=0))
        with (
            our.serving(SYNC, our.settings.sync_url) as service,
            Client(our.settings.sync_url, our.settings.intake_token, loop=LOOP) as client,
        ):
            _times(n, lambda i: client.submit(_output(f"warm-{i}", UNSURE)))
            before = _memory_mb(service)
            alone, beside, last, memory = list[float](), list[float](), list[float](), list[float]()
            for repeat in range(repeats):
                alone.append(_submits(client, n, f"alone-{repeat}"))
                keys = [f"waiter-{repeat}-{i}" for i in range(WAITERS)]
                client.submit(_output(key, UNSURE) for key in keys)
                with Waiters(our.settings.sync_url, our.settings.intake_token, LOOP, keys) as waiters:
                    time.sleep(3)  # all of them are parked
                    memory.append(_memory_mb(service) - before)
                    beside.append(_submits(client, n, f"beside-{repeat}"))
                    last.append(_last(our, waiters, keys))
            bare, decided = _decided(our, client, n * repeats)
    return [
        Measured(WAITERS_LAST, last, f"{WAITERS:,} waiters; every answer in one transaction"),
        Measured(WAITERS_MEMORY, memory, f"beside {before:.0f} MB of the three processes without waiters"),
        Measured(
            WAITERS_SUBMIT,
            [b / a for a, b in zip(alone, beside, strict=True)],
            f"{median(beside) * 1000:.1f} ms, alone {median(alone) * 1000:.1f} ms",
        ),
        Measured(
            DECIDE,
            [percentile(decided, 0.95) * 1000],
            f"p50 {percentile(decided, 0.5) * 1000:.1f} ms in two requests; one bare request to the same service p50 "
            f"{percentile(bare, 0.5) * 1000:.1f} ms, p95 {percentile(bare, 0.95) * 1000:.1f} ms; {len(decided)} times",
        ),
    ]


def _output(key: str, probabilities: dict[str, float]) -> Output:
    return Output(key=key, data={"text": "the parcel arrived broken"}, probabilities=probabilities)


def _times(n: int, call: Callable[[int], object]) -> list[float]:
    times = []
    for i in range(n):
        began = time.perf_counter()
        call(i)
        times.append(time.perf_counter() - began)
    return times


def _submits(client: Client, n: int, name: str) -> float:
    """Return the median seconds of one submitted output."""
    return median(_times(n, lambda i: client.submit(_output(f"{name}-{i}", UNSURE))))


def _last(our: House, waiters: Waiters, keys: Sequence[str]) -> float:
    """Return the seconds from the commit of all answers to the last response."""
    with our.database.transaction() as conn:
        rows = conn.execute("select id from outputs where loop = %s and key = any(%s)", (LOOP, list(keys))).fetchall()
        ids = [row["id"] for row in rows]
        conn.execute(
            "insert into answers (output_id, loop, label, agreement, reviewers) "
            "select unnest(%s::uuid[]), %s, %s, 1, 1",
            (ids, LOOP, LABELS[0]),
        )
        for state in ("pushing", "in_review", "answered"):
            conn.execute("update outputs set state = %s::output_state where id = any(%s)", (state, ids))
    began = time.perf_counter()
    responses = waiters.answered(60)
    took = time.perf_counter() - began
    if sum(b'"state":"answered"' in said for said in responses.values()) != len(keys):
        raise Failed("some waiters did not get their answer")
    return took


def _decided(our: House, client: Client, n: int) -> tuple[list[float], list[float]]:
    """Return the seconds of bare requests, and of `decide` for outputs about which no person is asked, in turn."""
    bare, decided = list[float](), list[float]()
    with httpx.Client(base_url=our.settings.sync_url) as http:
        for i in range(n):
            bare += _times(1, lambda _: http.get("/healthz").raise_for_status())
            key = f"decided-{i}"
            decided += _times(1, lambda _: client.decide(_output(key, SURE), timeout=5, fallback="hold"))  # noqa: B023
    return bare, decided


def _memory_mb(service: psutil.Popen) -> float:
    """Resident memory of the service's processes; pages that they share are counted for each."""
    return sum(one.memory_info().rss for one in [service, *service.children(recursive=True)]) / (1 << 20)
