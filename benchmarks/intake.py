"""Intake: outputs over HTTP to durable rows, beside COPY and insert of the same rows; one output beside a Flask route.

Measured with empty tables, after a million lines, and with ten million outputs stored.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import md5
from itertools import count
from statistics import median
from typing import NamedTuple

import httpx
import numpy as np
import psutil

from benchmarks.support import bare_insert
from benchmarks.support.goals import (
    INTAKE_FULL_MEMORY,
    INTAKE_FULL_RATE,
    INTAKE_FULL_TWO,
    INTAKE_MEMORY,
    INTAKE_ONE,
    INTAKE_RATE,
    INTAKE_TWO,
    Goal,
    Measured,
)
from benchmarks.support.items import texts, texts_spec
from benchmarks.support.rooms import House, Servers, house, peak_mb
from benchmarks.support.turns import percentile, ratios
from console.local.places import free_port
from console.local.services import SYNC, WORKER_CLASS
from labelloop.client import CHUNK_LINES, Client
from labelloop.errors import Failed
from labelloop.outputs.output import Output
from labelloop.spec.loop import LoopSpec
from labelloop.store.tables import loops

LOOP = "intake"
Lines = list[bytes]
FILL = f"""
    insert into outputs (id, loop, key, body_sha256, group_key, data, label, confidence, model_version, received_at,
        lane, triggered, inclusion_probability, holdout, state, spec_version)
    select (place || left(md5(i::text), 24))::uuid, '{LOOP}', 'ticket/' || place || '-' || i, sha256(place::bytea),
        'ticket/' || place || '-' || i, '{{"text": "an output that came before"}}', 'label-' || i %% 10, 0.5,
        'pipeline-1', now() - interval '1 year' * (1 - i / %(n)s::float8),
        (case i %% 10 when 0 then 'rule' else 'pass' end)::lane,
        i %% 10 = 0, case i %% 10 when 0 then null else 0.1 end, false,
        (case i %% 10 when 0 then 'waiting' else 'passed' end)::output_state, 1
    from (
        select i, lpad(to_hex(i * (4294967295 / %(n)s)), 8, '0') as place from generate_series(1::bigint, %(n)s) i
    ) spread
"""
"""Outputs in the order of ids and keys, which is quick, but spread so that the next ones come between any two."""
FILL_POOL = """
    insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
    select id, loop, lane, random(), key, label, confidence, 'pipeline', 'pipeline' from outputs where state = 'waiting'
"""


class Sizes(NamedTuple):
    rows: int = 5_000
    """Outputs of a repeat."""
    repeats: int = 8
    ones: int = 100
    """Single outputs of a repeat."""
    long: int = 1_000_000
    """Lines after which the memory is read."""
    stored: int = 10_000_000
    """Outputs that are stored already."""


@dataclass
class Side:
    """The service with two connections, the bare route, and outputs whose keys are new each time."""

    our: House
    spec: LoopSpec
    items: Sequence[Output]
    https: Sequence[httpx.Client]
    route: httpx.Client
    turn: Iterator[int]

    def fresh(self) -> list[Output]:
        """Return the outputs with keys that nobody used, spread over all keys."""
        turn = next(self.turn)
        keys = (md5(f"{turn}/{item.key}".encode(), usedforsecurity=False).hexdigest() for item in self.items)
        return [
            Output(f"ticket/{key}", item.data, item.probabilities, item.model_version)
            for key, item in zip(keys, self.items, strict=True)
        ]


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    sizes = Sizes(2_000, 2, 20, 10_000, 50_000) if quick else Sizes()
    with _side(servers, sizes) as (side, service):
        _send(side.https, _lines(side.fresh()))  # both workers have their connections
        empty = _rates(side, sizes.repeats, empty=True)
        one = _ones(side, sizes)
        client_s = _by_client(side)
        memory = _after(side, service, sizes.long)
    with _side(servers, sizes) as (side, service):
        filled_s = _fill(side.our, sizes.stored)
        _send(side.https, _lines(side.fresh()))
        full = _rates(side, sizes.repeats, empty=False)
        full_memory = _after(side, service, sizes.long // 10)
    stored = f"{sizes.stored:,} outputs stored, {sizes.stored // 10:,} of them in the pool (filled in {filled_s:.0f} s)"
    return [
        _rate(INTAKE_RATE, empty, 0, f"through labelloop.Client {sizes.rows / client_s:,.0f}/s"),
        _rate(INTAKE_TWO, empty, 1, "bare over one connection"),
        Measured(
            INTAKE_ONE,
            [percentile(ours, 0.5) / percentile(bare, 0.5) for ours, bare in one],
            f"p50 {_ms(one, 0)}, bare {_ms(one, 1)}; {sizes.ones} requests of each a repeat, in turn",
        ),
        Measured(INTAKE_MEMORY, [memory], f"three processes together after {sizes.long:,} more lines"),
        _rate(INTAKE_FULL_RATE, full, 0, stored),
        _rate(INTAKE_FULL_TWO, full, 1, stored),
        Measured(INTAKE_FULL_MEMORY, [full_memory], f"after {sizes.long // 10:,} more lines; {stored}"),
    ]


class Rates(NamedTuple):
    """Seconds of each repeat."""

    rows: int
    ours: tuple[list[float], list[float]]
    """Over one connection, and over two."""
    bare: list[float]


def _rates(side: Side, repeats: int, *, empty: bool) -> Rates:
    """Measure three sides in turn; each is as often first, second and last. With `empty` each finds empty tables."""
    found: tuple[list[float], list[float], list[float]] = ([], [], [])
    for repeat in range(repeats):
        items = side.fresh()
        stored = set()
        for i in range(3):
            which = (repeat + i) % 3
            if not empty:
                items = side.fresh()
            else:
                _empty(side.our)
            found[which].append(_seconds(side, which, items))
            stored.add(_stored(side.our) if empty else None)
        if len(stored) > 1:
            raise Failed("the sides have not stored the same rows")
    return Rates(len(side.items), found[:2], found[2])


def _seconds(side: Side, which: int, items: Sequence[Output]) -> float:
    """Return the seconds until all outputs are committed: 0 over one connection, 1 over two, 2 bare."""
    if which == 2:
        rows = [bare_insert.row_of(item, side.spec) for item in items]
        return bare_insert.seconds(side.our.settings.database_url, rows, CHUNK_LINES)
    lines = _lines(items)
    began = time.perf_counter()
    _send(side.https[: which + 1], lines)
    return time.perf_counter() - began


def _rate(goal: Goal, rates: Rates, which: int, facts: str) -> Measured:
    ours = rates.ours[which]
    return Measured(
        goal,
        ratios(rates.bare, ours),  # ratios of rates
        f"{rates.rows / median(ours):,.0f} outputs/s in requests of {CHUNK_LINES}, bare "
        f"{rates.rows / median(rates.bare):,.0f} rows/s in transactions of {CHUNK_LINES}; {facts}",
    )


def _send(https: Sequence[httpx.Client], lines: Lines) -> None:
    """Send the lines in requests of CHUNK_LINES, over all connections at once."""
    bodies = [b"\n".join(lines[start : start + CHUNK_LINES]) for start in range(0, len(lines), CHUNK_LINES)]

    def send(place: int) -> None:
        for body in bodies[place :: len(https)]:
            https[place].post(f"/v1/loops/{LOOP}/outputs", content=body).raise_for_status()

    with ThreadPoolExecutor(len(https)) as pool:
        list(pool.map(send, range(len(https))))


def _ones(side: Side, sizes: Sizes) -> list[tuple[list[float], list[float]]]:
    """Return the seconds of single outputs to the service and to the bare route, in turn, for each repeat."""
    found = []
    for _ in range(sizes.repeats):
        ours, bare = list[float](), list[float]()
        for i, line in enumerate(_lines(side.fresh()[: sizes.ones])):
            calls = [(ours, side.https[0], f"/v1/loops/{LOOP}/outputs"), (bare, side.route, "/outputs")]
            for times, http, path in calls if i % 2 else reversed(calls):
                body = line if http is side.route else line.replace(b'"ticket/', b'"one/')
                began = time.perf_counter()
                http.post(path, content=body, headers={"Content-Type": "application/json"}).raise_for_status()
                times.append(time.perf_counter() - began)
        found.append((ours, bare))
    return found


def _ms(pairs: list[tuple[list[float], list[float]]], which: int) -> str:
    return f"{median(percentile(pair[which], 0.5) for pair in pairs) * 1000:.1f} ms"


def _after(side: Side, service: psutil.Popen, n: int) -> float:
    """Return the peak memory of the service, in MB, after so many more lines."""
    for _ in range(0, n, len(side.items)):
        _send(side.https, _lines(side.fresh()))
    return peak_mb(service)


def _by_client(side: Side) -> float:
    _empty(side.our)
    lines = _lines(side.fresh())
    with Client(side.our.settings.sync_url, side.our.settings.intake_token, loop=LOOP) as client:
        began = time.perf_counter()
        client.submit_lines(lines)
        return time.perf_counter() - began


@contextmanager
def _side(servers: Servers, sizes: Sizes) -> Iterator[tuple[Side, psutil.Popen]]:
    spec = texts_spec(LOOP)
    items = texts(sizes.rows, np.random.default_rng(0))
    with house(servers) as our, ExitStack() as stack:
        with our.database.transaction() as conn:
            loops.register(conn, spec)
        service = stack.enter_context(our.serving(SYNC, our.settings.sync_url))
        at = f"127.0.0.1:{free_port()}"
        bare = f"benchmarks.support.bare_insert:app({our.settings.database_url!r}, {LOOP!r})"
        words = ["gunicorn", bare, "--workers=2", "--threads=4", "--preload", f"--bind={at}"]
        stack.enter_context(our.answering([*words, f"--worker-class={WORKER_CLASS}"], f"http://{at}"))
        token = {"Authorization": f"Bearer {our.settings.intake_token}", "Content-Type": "application/x-ndjson"}
        urls = [our.settings.sync_url] * 2 + [f"http://{at}"]
        *https, route = [stack.enter_context(httpx.Client(base_url=url, headers=token, timeout=60)) for url in urls]
        yield Side(our, spec, items, https, route, count()), service


def _fill(our: House, n: int) -> float:
    """Store `n` outputs, and return the seconds."""
    began = time.perf_counter()
    with our.database.transaction() as conn:
        conn.execute("set local statement_timeout = 0")
        conn.execute("set local session_replication_role = replica")  # foreign keys are not checked: they fit
        conn.execute(FILL, {"n": n})
        conn.execute(FILL_POOL)
    with our.database.transaction() as conn:
        conn.execute("set local statement_timeout = 0")
        conn.execute("analyze outputs, pool")
    return time.perf_counter() - began


def _lines(items: Sequence[Output]) -> Lines:
    return [json.dumps(item.to_json()).encode() for item in items]


def _stored(our: House) -> str:
    with our.database.transaction() as conn:
        row = conn.execute(bare_insert.SAME).fetchone()
    assert row is not None
    return str(row["found"])


def _empty(our: House) -> None:
    with our.database.transaction() as conn:
        conn.execute("truncate outputs cascade")
