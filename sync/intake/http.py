"""Intake over HTTP: pipelines submit outputs, and read back the status of each.

A request is one transaction: all of its outputs are stored, or none is. The response is sent after the commit. A
pipeline that lost the response sends the same request again. A pipeline whose request was refused mends the lines that
the response names, and sends all of them again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, request
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import APPROVE
from labelloop.outputs import reading
from labelloop.process.metrics import Metrics
from labelloop.process.problems import problem
from labelloop.reading import strict_json
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops
from labelloop.store.tables import outputs as output_store
from sync.callers import Callers
from sync.intake import spans, taking
from sync.intake.asking import JSON, NDJSON, Refusal, active_spec, body, caller, protect, spec_of
from sync.intake.spans import PROTOBUF
from sync.intake.status import statuses
from sync.intake.taking import Line, LoopGone, Problem, Rejected, Taken

logger = logging.getLogger(__name__)

MAX_LINES = 5_000
MAX_KEYS = 100
"""Conflicting keys that a response names."""


class _Key(BaseConverter):
    """An output's key in a path: slashes are part of it, the first and the last too."""

    regex = ".+"
    part_isolating = False


def blueprint(database: Database, callers: Callers, metrics: Metrics) -> Blueprint:
    """Return the routes below /v1/loops."""
    intake = _Intake(database, metrics)
    bp = Blueprint("intake", __name__, url_prefix="/v1/loops")
    bp.record(_allow_any_key)
    bp.get("")(intake.list_loops)
    bp.get("/<loop>")(intake.count)
    bp.post("/<loop>/outputs")(intake.submit)
    bp.post("/<loop>/otlp")(intake.export)
    bp.get("/<loop>/outputs/<key:key>")(intake.look)
    protect(bp, callers)
    bp.errorhandler(LoopGone)(_gone)
    return bp


class _Intake:
    """The routes. Their names label the metrics of requests."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._counted = metrics.counter("labelloop_intake_outputs", "Outputs submitted", "loop", "became")

    def list_loops(self) -> Response:
        with self._database.transaction() as conn:
            return jsonify(loops=[name for name in loops.names(conn) if caller().may_use(name)])

    def count(self, loop: str) -> Response:
        with self._database.transaction() as conn:
            spec = spec_of(conn, loop)
            states = output_store.state_counts(conn, loop, caller().source)
            lane_counts = output_store.lane_counts(conn, loop, caller().source)
        return jsonify(loop=loop, labels=spec.labels, states=states, lanes=lane_counts)

    def submit(self, loop: str) -> Response:
        sent = body((JSON, NDJSON), f"{JSON} (one output) or {NDJSON} (one output a line)")
        try:
            with self._database.transaction() as conn:
                taken = _take(conn, loop, sent)
        except Refusal as exc:
            if exc.status != 404:  # counted for known loops only, so that no caller can create new series
                self._counted.labels(loop, "refused").inc(exc.lines)
            raise
        known = taken.known + taken.repeated
        self._counted.labels(loop, "new").inc(taken.new)
        self._counted.labels(loop, "known").inc(known)
        logger.info("outputs stored", extra={"loop": loop, "new": taken.new, "known": known})
        outputs = [{"key": s.key, "id": s.id, "state": s.state, "new": s.is_new} for s in taken.outputs]
        answer = msgspec.json.encode({"loop": loop, "new": taken.new, "known": known, "outputs": outputs})
        return Response(answer, 201 if taken.new else 200, mimetype=JSON)

    def export(self, loop: str) -> Response:
        """Take an export request of OpenTelemetry; the response is that of the protocol (OTLP/HTTP)."""
        sent = body((PROTOBUF, JSON), f"{PROTOBUF} or {JSON} (OTLP)")
        is_protobuf = request.mimetype == PROTOBUF
        label = request.args.get("label", APPROVE)
        try:
            with self._database.transaction() as conn:
                spec = active_spec(conn, loop, "traces")
                stored = spans.store(conn, spec, spans.read(sent, is_protobuf=is_protobuf), label, caller().source)
        except InvalidOutput as exc:
            self._counted.labels(loop, "refused").inc()
            raise Refusal(exc.status, str(exc), path=exc.path) from exc
        for became, n in (("new", stored.new), ("known", stored.known), ("refused", len(stored.refused))):
            self._counted.labels(loop, became).inc(n)
        if stored.refused:
            # Most exporters do not show the reasons that the response has.
            logger.warning(
                "spans refused", extra={"loop": loop, "refused": len(stored.refused), "why": stored.refused[0]}
            )
        media = PROTOBUF if is_protobuf else JSON
        return Response(stored.response(as_protobuf=is_protobuf), mimetype=media)

    def look(self, loop: str, key: str) -> Response:
        with self._database.transaction() as conn:
            spec = spec_of(conn, loop)
            found = _find(conn, spec, key)
        if not found:
            raise Refusal(404, f"no output {key!r} in loop {loop!r}", path="key")
        return jsonify(found[0])


# -- submit ------------------------------------------------------------------------------------------------------


def _take(conn: Conn, loop: str, sent: bytes) -> Taken:
    """Store the outputs of the request; raises Refusal, after which nothing of the transaction may be committed."""
    spec = active_spec(conn, loop, "outputs")
    single = request.mimetype == JSON
    try:
        taken = taking.take(conn, spec, [(1, sent)] if single else _lines(sent), caller().source)
    except Rejected as exc:
        if not exc.invalid:
            raise _conflict(exc.conflicts) from exc
        raise _invalid(exc.invalid, 413 if single and len(sent) > strict_json.MAX_BYTES else 422) from exc
    if not taken.outputs:
        raise Refusal(422, "there is no output in the request", path="")
    return taken


def _gone(exc: LoopGone) -> Response:
    return problem(410, str(exc), path="loop")


def _lines(body: bytes) -> Iterator[Line]:
    """The lines that are not blank, with their numbers from 1."""
    count = 0
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            count += 1
            if count > MAX_LINES:
                raise Refusal(413, f"more than {MAX_LINES} lines; send several requests", path="")
            yield number, line


def _invalid(problems: list[Problem], status: int) -> Refusal:
    named = [{"detail": p.message, "path": p.field, "line": p.line, "key": p.key, "error": p.message} for p in problems]
    first = problems[0]
    return Refusal(
        status, first.message, path=first.field, line=first.line, key=first.key, problems=named, lines=len(named)
    )


def _conflict(problems: list[Problem]) -> Refusal:
    keys = [problem.key for problem in problems[:MAX_KEYS]]
    named = ", ".join(str(key) for key in keys[:5]) + (", ..." if len(problems) > 5 else "")
    return Refusal(
        409,
        f"known with another body (its data, answer or another field differs): {named}; nothing of this request is "
        "stored. Another output needs another key",
        path="key",
        keys=keys,
        lines=len(keys),
    )


# -- both --------------------------------------------------------------------------------------------------------


def _find(conn: Conn, spec: LoopSpec, key: str) -> list[dict[str, Any]]:
    """The status of the output; empty if there is none, or if no output can have this key."""
    try:
        return statuses(conn, spec, [reading.read_key(key)], caller())
    except InvalidOutput:
        return []


def _allow_any_key(state: BlueprintSetupState) -> None:
    """Let a path hold a key with slashes, two in a row too."""
    state.app.url_map.converters["key"] = _Key
    state.app.url_map.merge_slashes = False
