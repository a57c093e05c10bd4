"""The bare peers of the intake: COPY and insert of encoded rows by psycopg, and a Flask route that inserts one row."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import psycopg
from flask import Flask, request
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from labelloop.outputs.output import Output, body_sha256
from labelloop.queue.lanes import place
from labelloop.spec.loop import LoopSpec

COLUMNS = """loop, key, body_sha256, group_key, data, probabilities, label, confidence, model_version, lane,
    triggered, inclusion_probability, holdout, state, spec_version"""
"""The columns of the table outputs that are not null in a row of the benchmark."""
SAME = """
    select (select md5(string_agg((to_jsonb(o) - 'id' - 'received_at')::text, ' ' order by key)) from outputs o)
        || (select md5(string_agg((to_jsonb(p) - 'output_id')::text, ' ' order by key)) from pool p) as found
"""
"""A hash of all that is stored, without what no two inserts have in common."""


def row_of(output: Output, spec: LoopSpec) -> tuple[object, ...]:
    """Return the row that the intake writes for this output, decided and encoded before the clock runs."""
    placed = place(output, spec)
    return (
        spec.name, output.key, body_sha256(output), output.group_key, json.dumps(output.data),
        json.dumps(output.probabilities), placed.label, placed.confidence, output.model_version, placed.lane,
        placed.triggered, placed.inclusion_probability, placed.holdout,
        "passed" if placed.lane == "pass" else "waiting", 1, placed.utility,
    )  # fmt: skip


def seconds(url: str, rows: Sequence[tuple[object, ...]], chunk: int) -> float:
    """Return the seconds for rows that are ready, in transactions of `chunk` rows over one connection."""
    with psycopg.connect(url) as conn:
        conn.execute(
            "create temporary table incoming (like outputs including defaults, utility float8) on commit delete rows"
        )
        conn.commit()
        began = time.perf_counter()
        for start in range(0, len(rows), chunk):
            with conn.cursor().copy(f"copy incoming ({COLUMNS}, utility) from stdin") as copy:
                for row in rows[start : start + chunk]:
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


def app(url: str, loop: str) -> Flask:
    """Return a service that inserts the output of a request into the table outputs: no check, no lane, no pool."""
    pool = ConnectionPool(url, min_size=0, max_size=8, open=False)
    flask = Flask(__name__)

    @flask.get("/healthz")
    def healthz() -> dict[str, Any]:
        return {}

    @flask.post("/outputs")
    def insert() -> dict[str, Any]:
        output = request.get_json()
        pool.open()  # at first use: its threads would not survive the fork
        with pool.connection() as conn:
            row = conn.execute(
                """
                insert into outputs (loop, key, body_sha256, group_key, data, probabilities, model_version, lane,
                    inclusion_probability, holdout, state)
                values (%s, %s, '', %s, %s, %s, %s, 'pass', 0, false, 'passed') returning id
                """,
                (loop, output["key"], output["key"], Jsonb(output["data"]), Jsonb(output["probabilities"]),
                 output["model_version"]),
            ).fetchone()  # fmt: skip
        assert row is not None
        return {"id": str(row[0])}

    return flask
