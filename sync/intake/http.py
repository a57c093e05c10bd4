"""Intake: pipelines hand in outputs over HTTP, and ask what became of them.

A request is one transaction: all of its outputs are stored, or none is. So whoever lost an answer sends the same
request again, and who was refused mends the lines that are named. The answer is sent after the commit.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from labelloop.access import callers
from labelloop.errors import InvalidOutput, Retriable
from labelloop.labeling import results
from labelloop.outputs import fitting, reading
from labelloop.process.metrics import Metrics
from labelloop.process.settings import Settings
from labelloop.queue import lanes
from labelloop.reading import strict_json
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import jobs, loops, unreadable, versions
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables.outputs import Row

logger = logging.getLogger(__name__)

MAX_BYTES = 8 << 20
MAX_LINES = 5_000
MAX_PROBLEMS = 100
JSON, NDJSON = "application/json", "application/x-ndjson"
RETRY_AFTER_S = 2
NO_TOKEN = "this needs the header `Authorization: Bearer <the intake's token>`"


class _Refusal(Exception):
    """An answer other than success; `more` stands beside `error` in its JSON."""

    def __init__(self, status: int, error: str, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, **more}


class _Key(BaseConverter):
    """An output's key in a path: slashes are part of it, also the first and the last."""

    regex = ".+"
    part_isolating = False


def blueprint(settings: Settings, database: Database, metrics: Metrics) -> Blueprint:
    """The routes below /v1; every one wants the intake's token."""
    outputs_counted = metrics.counter("labelloop_intake_outputs", "Outputs handed in", "loop", "became")
    bp = Blueprint("intake", __name__, url_prefix="/v1/loops")
    bp.record(_know_keys)

    @bp.before_request
    def only_with_the_token() -> None:
        if not is_token(settings, request.headers.get("Authorization", "")):
            raise _Refusal(401, NO_TOKEN)

    @bp.get("")
    def list_loops() -> Response:
        with database.transaction() as conn:
            return jsonify(loops=loops.names(conn))

    @bp.get("/<loop>")
    def count(loop: str) -> Response:
        with database.transaction() as conn:
            spec = _spec(conn, loop)
            states, lane_counts = output_store.state_counts(conn, loop), output_store.lane_counts(conn, loop)
        return jsonify(loop=loop, labels=spec.labels, states=states, lanes=lane_counts)

    @bp.post("/<loop>/outputs")
    def submit(loop: str) -> tuple[Response, int]:
        body = _body()
        try:
            with database.transaction() as conn:
                spec = _spec(conn, loop)
                if loop in (resting := loops.resting(conn)):
                    raise _Refusal(410, f"loop {loop!r} takes no outputs: it was {resting[loop]}", path="loop")
                answer = _store(conn, spec, body)
        except _Refusal as exc:
            if exc.status != 404:  # the loop is one of ours, so nobody can make up series
                named = exc.body.get("problems") or exc.body.get("keys") or [exc]
                outputs_counted.labels(loop, "refused").inc(len(named))
            raise
        for became in ("new", "known"):
            outputs_counted.labels(loop, became).inc(answer[became])
        logger.info("outputs stored", extra={"loop": loop, "new": answer["new"], "known": answer["known"]})
        return jsonify(answer), 201 if answer["new"] else 200

    @bp.get("/<loop>/outputs/<key:key>")
    def look(loop: str, key: str) -> Response:
        with database.transaction() as conn:
            spec = _spec(conn, loop)
            row = _look(conn, loop, key)
            if row is None:
                raise _Refusal(404, f"no output {key!r} in loop {loop!r}", path="key")
            not_read = unreadable.of_output(conn, row["id"])
            return jsonify(_shown(spec, row, output_store.comments(conn, row["id"]), not_read))

    @bp.errorhandler(_Refusal)
    def refused(exc: _Refusal) -> tuple[Response, int]:
        return jsonify(exc.body), exc.status

    @bp.errorhandler(Retriable)
    def away(exc: Retriable) -> tuple[Response, int, dict[str, str]]:
        return jsonify(error="Postgres does not answer; try again"), 503, {"Retry-After": str(RETRY_AFTER_S)}

    return bp


def is_token(settings: Settings, authorization: str) -> bool:
    """Whether this Authorization header carries the intake's token."""
    return callers.has_bearer(authorization, settings.intake_token)


def _know_keys(state: BlueprintSetupState) -> None:
    state.app.url_map.converters["key"] = _Key
    state.app.url_map.merge_slashes = False


def _spec(conn: Conn, loop: str) -> LoopSpec:
    spec = loops.get(conn, loop) if loop.isprintable() else None
    if spec is None:
        known = loops.names(conn)
        raise _Refusal(404, f"no loop {loop!r}; there are: {', '.join(known) or 'none'}", path="loop", loops=known)
    return spec


# -- submit ------------------------------------------------------------------------------------------------------


def _body() -> bytes:
    """The request's bytes, at most MAX_BYTES of them, once its headers are what we read."""
    if request.mimetype not in (JSON, NDJSON):
        raise _Refusal(415, f"Content-Type must be {JSON} (one output) or {NDJSON} (one a line)")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise _Refusal(415, "Content-Encoding must be identity: a few compressed bytes can fill any memory")
    announced = request.content_length
    if announced is not None and announced > MAX_BYTES:
        raise _too_large()
    body = bytearray()
    while piece := _piece():
        body += piece
        if len(body) > MAX_BYTES:
            raise _too_large()
    # Neither Werkzeug nor the server minds a body that ends early: what is left of it could be whole lines.
    if announced is not None and len(body) != announced:
        raise _Refusal(400, f"the request's body breaks off after {len(body)} of {announced} bytes", path="")
    return bytes(body)


def _piece() -> bytes:
    try:
        return request.stream.read(1 << 16)
    except Exception as exc:  # each server has its own for a chunk that is none or does not end
        raise _Refusal(400, f"the request's body breaks off ({type(exc).__name__})", path="") from exc


def _too_large() -> _Refusal:
    return _Refusal(413, f"more than {MAX_BYTES} bytes in one request; send several", path="")


def _store(conn: Conn, spec: LoopSpec, body: bytes) -> dict[str, Any]:
    """Store what the body says, ask for the jobs that follow; the answer's JSON."""
    rows, repeated = _rows(spec, body)
    new, known, conflicts = output_store.insert(conn, spec.name, list(rows.values()))
    if conflicts:
        _refuse_conflicts([stored.key for stored in conflicts])
    if any(stored.state == "waiting" for stored in new):
        if versions.ranker(conn, spec.name) or versions.champion(conn, spec.name):
            jobs.ask(conn, jobs.PRELABEL, spec.name)
        jobs.ask(conn, jobs.PUSH, spec.name)
    by_key = {stored.key: stored for stored in [*new, *known]}
    return {
        "loop": spec.name,
        "new": len(new),
        "known": len(known) + repeated,
        "outputs": [
            {"key": s.key, "id": s.id, "state": s.state, "new": s.is_new} for s in (by_key[key] for key in rows)
        ],
    }


def _rows(spec: LoopSpec, body: bytes) -> tuple[dict[str, Row], int]:
    """The outputs by key, each in its lane, and how many lines only repeat one; refuses all when one line is bad."""
    rows: dict[str, Row] = {}
    labels = dict.fromkeys(spec.labels)
    problems, contradicted, repeated, status = [], [], 0, 422
    sends = spec.sends
    for number, raw in _items(body):
        value: Any = None
        try:
            value = strict_json.loads(raw)
            output = fitting.shown(reading.from_json(value), spec.config)
            output = fitting.check(output, spec.config, labels, spec.queue.embedding)
        except InvalidOutput as exc:
            status = exc.status
            problems.append(_problem(exc, number, value))
            if len(problems) >= MAX_PROBLEMS:
                break
            continue
        row = Row.of(output, lanes.place(output, spec, sends))
        earlier = rows.setdefault(output.key, row)
        if earlier is not row:
            repeated += 1
            if earlier.sha256 != row.sha256:
                contradicted.append(output.key)
    if problems:
        raise _Refusal(status if request.mimetype == JSON else 422, **problems[0], problems=problems)
    if contradicted:
        _refuse_conflicts(contradicted)
    if not rows:
        raise _Refusal(422, "there is no output in the request", path="")
    return rows, repeated


def _items(body: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, counted from 1; the whole body where the request is one object."""
    if request.mimetype == JSON:
        yield 1, body
        return
    count = 0
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            count += 1
            if count > MAX_LINES:
                raise _Refusal(413, f"more than {MAX_LINES} lines; send several requests", path="")
            yield number, line


def _problem(exc: InvalidOutput, line: int, value: object) -> dict[str, Any]:
    try:
        named = reading.read_key(value.get("key") if isinstance(value, dict) else None)
    except InvalidOutput:
        named = None
    return {"error": str(exc), "path": exc.path, "line": line, "key": named}


def _refuse_conflicts(keys: list[str]) -> None:
    named = ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
    raise _Refusal(
        409,
        f"known with another body: {named}; nothing of this request is stored. Another output takes another key",
        path="key",
        keys=keys[:MAX_PROBLEMS],
    )


# -- look --------------------------------------------------------------------------------------------------------


def _look(conn: Conn, loop: str, key: str) -> dict[str, Any] | None:
    """The output; None where there is none, or where no output can have this key."""
    try:
        return output_store.get(conn, loop, reading.read_key(key))
    except InvalidOutput:
        return None


def _shown(spec: LoopSpec, row: Mapping[str, Any], comments: list[str], not_read: list[str]) -> dict[str, Any]:
    """An output as a pipeline sees it; what people said only while their answer stands."""
    answered = row["state"] == "answered"
    label = row["answer_label"] if answered else None
    approval = _approval(spec, label, row["label"])
    if answered and label is None and row["rejected"]:
        approval = False
    return {
        "key": row["key"],
        "id": row["id"],
        "loop": row["loop"],
        "state": row["state"],
        "lane": row["lane"],
        "model_label": row["label"],
        "model_confidence": row["confidence"],
        "model_version": row["model_version"],
        "label": label,
        "approval": approval,
        "correction": None if approval is not False else label,
        "comments": comments if answered else [],
        "agreement": row["agreement"] if answered else None,
        "reviewers": row["reviewers"] if answered else 0,
        "unreadable": not_read,
        "received_at": row["received_at"].isoformat(),
        "answered_at": row["resolved_at"].isoformat() if answered and row["resolved_at"] else None,
    }


def _approval(spec: LoopSpec, label: str | None, model_label: str | None) -> bool | None:
    """Whether the final label is the model's, as feedback has it: by what the form can say of both."""
    if label is None or model_label is None:
        return None
    said = results.read(spec.config, results.encode(spec.config, label, model_label), model_label).approval
    return label == model_label if said is None else said
