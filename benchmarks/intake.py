"""Intake: NDJSON over HTTP to durable rows, against a bare COPY and insert of the same rows."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from statistics import median

import httpx
import numpy as np
import psycopg

from benchmarks.support.goals import INTAKE_MEMORY, INTAKE_RATE, Measured
from benchmarks.support.items import texts, texts_spec
from benchmarks.support.rooms import House, Servers, house, peak_mb
from benchmarks.support.turns import in_turn, ratios
from console.local.services import SYNC
from labelloop.client import CHUNK_LINES, Client
from labelloop.outputs.output import Output, body_sha256
from labelloop.queue.lanes import place
from labelloop.spec.loop import LoopSpec
from labelloop.store.tables import loops

LOOP = "intake"
Lines = list[bytes]


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats, long = (5_000, 1, 5_000) if quick else (5_000, 8, 50_000)
    rng = np.random.default_rng(0)
    spec = texts_spec(LOOP)
    with house(servers) as our:
        with our.database.transaction() as conn:
            loops.register(conn, spec)
        with our.serving(SYNC, our.settings.sync_url) as service, _http(our) as http:
            _send(http, _lines(texts(1_000, rng)))  # both workers have their connection
            items = texts(n, rng)
            lines, rows = _lines(items), [_row(item, spec) for item in items]
            ours, bare = in_turn(repeats, lambda: _over_http(our, http, lines), lambda: _bare(our, rows))
            client_s = _by_client(our, lines)
            early = peak_mb(service)
            for _ in range(long // n):
                _send(http, _lines(texts(n, rng)))
            late = peak_mb(service)
    return [
        Measured(
            INTAKE_RATE,
            ratios(bare, ours),  # ratios of rates
            f"{n / median(ours):,.0f} outputs/s over one connection in requests of {CHUNK_LINES}, bare "
            f"{n / median(bare):,.0f} rows/s in transactions of {CHUNK_LINES}; through labelloop.Client "
            f"{n / client_s:,.0f}/s",
        ),
        Measured(
            INTAKE_MEMORY,
            [late],
            f"three processes together after {long:,} more lines; {early:.0f} MB before them",
        ),
    ]


def _http(our: House) -> httpx.Client:
    return httpx.Client(
        base_url=our.settings.sync_url,
        headers={"Authorization": f"Bearer {our.settings.intake_token}", "Content-Type": "application/x-ndjson"},
        timeout=60,
    )


def _over_http(our: House, http: httpx.Client, lines: Lines) -> float:
    """Seconds until all of them are committed."""
    _empty(our)
    began = time.perf_counter()
    _send(http, lines)
    return time.perf_counter() - began


def _send(http: httpx.Client, lines: Lines) -> None:
    for start in range(0, len(lines), CHUNK_LINES):
        body = b"\n".join(lines[start : start + CHUNK_LINES])
        http.post(f"/v1/loops/{LOOP}/outputs", content=body).raise_for_status()


def _by_client(our: House, lines: Lines) -> float:
    _empty(our)
    with Client(our.settings.sync_url, our.settings.intake_token, loop=LOOP) as client:
        began = time.perf_counter()
        client.submit_lines(lines)
        return time.perf_counter() - began


def _bare(our: House, rows: Sequence[tuple[object, ...]]) -> float:
    """Seconds for rows that are ready, in as many transactions as there were requests."""
    _empty(our)
    with psycopg.connect(our.settings.database_url) as conn:
        began = time.perf_counter()
        for start in range(0, len(rows), CHUNK_LINES):
            conn.execute(
                "create temporary table incoming (like outputs including defaults, utility float8) on commit drop"
            )
            with conn.cursor().copy(f"copy incoming ({COLUMNS}, utility) from stdin") as copy:
                for row in rows[start : start + CHUNK_LINES]:
                    copy.write_row(row)
            conn.execute(
                f"""
                with fresh as (
                    insert into outputs ({COLUMNS}) select {COLUMNS} from incoming
                    on conflict (loop, key) do nothing returning id, key, loop, lane, label, confidence
                )
                insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)
                select f.id, f.loop, f.lane, i.utility, f.key, f.label, f.confidence, 'pipeline',
                    'pipeline'
                from fresh f join incoming i using (key) where f.lane <> 'pass'
                """
            )
            conn.commit()
        return time.perf_counter() - began


COLUMNS = """loop, key, body_sha256, group_key, data, probabilities, label, confidence, model_version, lane,
    triggered, inclusion_probability, holdout, state"""


def _row(output: Output, spec: LoopSpec) -> tuple[object, ...]:
    """Return the row that the intake writes for this output, decided and encoded before the clock runs."""
    placed = place(output, spec)
    return (
        spec.name, output.key, body_sha256(output), output.group_key, json.dumps(output.data),
        json.dumps(output.probabilities), placed.label, placed.confidence, output.model_version, placed.lane,
        placed.triggered, placed.inclusion_probability, placed.holdout,
        "passed" if placed.lane == "pass" else "waiting", placed.utility,
    )  # fmt: skip


def _lines(items: Sequence[Output]) -> Lines:
    return [json.dumps(item.to_json()).encode() for item in items]


def _empty(our: House) -> None:
    """Every turn begins with the same tables."""
    with our.database.transaction() as conn:
        conn.execute("truncate outputs cascade")
