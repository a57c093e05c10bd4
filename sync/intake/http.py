"""Intake over HTTP: pipelines submit outputs, and read back the status of each.

A request is one transaction: all of its outputs are stored, or none is. The response is sent after the commit. A
pipeline that lost the response sends the same request again. A pipeline whose request was refused mends the lines that
the response names, and sends all of them again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.sansio.blueprints import BlueprintSetupState
from werkzeug.routing import BaseConverter

from labelloop.access import callers
from labelloop.errors import InvalidOutput, Retriable
from labelloop.outputs import reading
from labelloop.process.metrics import Metrics
from labelloop.process.settings import Settings
from labelloop.reading import strict_json
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops
from labelloop.store.tables import outputs as output_store
from sync.intake import taking
from sync.intake.status import statuses
from sync.intake.taking import Line, Problem, Rejected, Taken

logger = logging.getLogger(__name__)

MAX_BYTES = 8 << 20
MAX_LINES = 5_000
MAX_KEYS = 100
"""Conflicting keys that a response names."""
JSON, NDJSON = "application/json", "application/x-ndjson"
RETRY_AFTER_S = 2
NO_TOKEN = "this needs the header `Authorization: Bearer <the intake's token>`"


class _Refusal(Exception):
    """A response other than success. `lines`: how many lines it refuses. `more`: fields beside `error` in its JSON."""

    def __init__(self, status: int, error: str, *, lines: int = 1, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.lines = lines
        self.body = {"error": error, **more}


class _Key(BaseConverter):
    """An output's key in a path: slashes are part of it, the first and the last too."""

    regex = ".+"
    part_isolating = False


def blueprint(settings: Settings, database: Database, metrics: Metrics) -> Blueprint:
    """The routes below /v1/loops; each one requires the intake's token."""
    intake = _Intake(settings, database, metrics)
    bp = Blueprint("intake", __name__, url_prefix="/v1/loops")
    bp.record(_allow_any_key)
    bp.before_request(intake.require_token)
    bp.get("")(intake.list_loops)
    bp.get("/<loop>")(intake.count)
    bp.post("/<loop>/outputs")(intake.submit)
    bp.get("/<loop>/outputs/<key:key>")(intake.look)
    bp.errorhandler(_Refusal)(_refused)
    bp.errorhandler(Retriable)(_unavailable)
    return bp


def is_token(settings: Settings, authorization: str) -> bool:
    """Whether this Authorization header carries the intake's token."""
    return callers.has_bearer(authorization, settings.intake_token)


class _Intake:
    """The routes. Their names label the metrics of requests."""

    def __init__(self, settings: Settings, database: Database, metrics: Metrics) -> None:
        self._settings = settings
        self._database = database
        self._counted = metrics.counter("labelloop_intake_outputs", "Outputs submitted", "loop", "became")

    def require_token(self) -> None:
        if not is_token(self._settings, request.headers.get("Authorization", "")):
            raise _Refusal(401, NO_TOKEN)

    def list_loops(self) -> Response:
        with self._database.transaction() as conn:
            return jsonify(loops=loops.names(conn))

    def count(self, loop: str) -> Response:
        with self._database.transaction() as conn:
            spec = _spec(conn, loop)
            states, lane_counts = output_store.state_counts(conn, loop), output_store.lane_counts(conn, loop)
        return jsonify(loop=loop, labels=spec.labels, states=states, lanes=lane_counts)

    def submit(self, loop: str) -> tuple[Response, int]:
        body = _body()
        try:
            with self._database.transaction() as conn:
                taken = _take(conn, loop, body)
        except _Refusal as exc:
            if exc.status != 404:  # counted for known loops only, so that no caller can create new series
                self._counted.labels(loop, "refused").inc(exc.lines)
            raise
        known = taken.known + taken.repeated
        self._counted.labels(loop, "new").inc(taken.new)
        self._counted.labels(loop, "known").inc(known)
        logger.info("outputs stored", extra={"loop": loop, "new": taken.new, "known": known})
        outputs = [{"key": s.key, "id": s.id, "state": s.state, "new": s.is_new} for s in taken.outputs]
        return jsonify(loop=loop, new=taken.new, known=known, outputs=outputs), 201 if taken.new else 200

    def look(self, loop: str, key: str) -> Response:
        with self._database.transaction() as conn:
            spec = _spec(conn, loop)
            found = _find(conn, spec, key)
        if not found:
            raise _Refusal(404, f"no output {key!r} in loop {loop!r}", path="key")
        return jsonify(found[0])


# -- submit ------------------------------------------------------------------------------------------------------


def _body() -> bytes:
    """Return the request's bytes, at most MAX_BYTES of them; refuse a type or an encoding that is not ours."""
    if request.mimetype not in (JSON, NDJSON):
        raise _Refusal(415, f"Content-Type must be {JSON} (one output) or {NDJSON} (one output a line)")
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
    # Neither Werkzeug nor the server notices a body that ends early, and the lines before its end may be whole.
    if announced is not None and len(body) != announced:
        raise _Refusal(400, f"the request's body ends after {len(body)} of {announced} bytes", path="")
    return bytes(body)


def _piece() -> bytes:
    try:
        return request.stream.read(1 << 16)
    except Exception as exc:  # each server has its own error for a broken chunk
        raise _Refusal(400, f"the request's body breaks off ({type(exc).__name__})", path="") from exc


def _too_large() -> _Refusal:
    return _Refusal(413, f"more than {MAX_BYTES} bytes in one request; send several", path="")


def _take(conn: Conn, loop: str, body: bytes) -> Taken:
    """Store the outputs of the body; raises _Refusal, after which nothing of the transaction may be committed."""
    spec = _spec(conn, loop)
    if loop in (resting := loops.resting(conn)):
        raise _Refusal(410, f"loop {loop!r} takes no outputs: it was {resting[loop]}", path="loop")
    single = request.mimetype == JSON
    try:
        taken = taking.take(conn, spec, [(1, body)] if single else _lines(body))
    except Rejected as exc:
        if not exc.invalid:
            raise _conflict(exc.conflicts) from exc
        raise _invalid(exc.invalid, 413 if single and len(body) > strict_json.MAX_BYTES else 422) from exc
    if not taken.outputs:
        raise _Refusal(422, "there is no output in the request", path="")
    return taken


def _lines(body: bytes) -> Iterator[Line]:
    """The lines that are not blank, with their numbers from 1."""
    count = 0
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            count += 1
            if count > MAX_LINES:
                raise _Refusal(413, f"more than {MAX_LINES} lines; send several requests", path="")
            yield number, line


def _invalid(problems: list[Problem], status: int) -> _Refusal:
    named = [{"error": p.message, "path": p.field, "line": p.line, "key": p.key} for p in problems]
    first = problems[0]
    return _Refusal(
        status, first.message, path=first.field, line=first.line, key=first.key, problems=named, lines=len(named)
    )


def _conflict(problems: list[Problem]) -> _Refusal:
    keys = [problem.key for problem in problems[:MAX_KEYS]]
    named = ", ".join(str(key) for key in keys[:5]) + (", ..." if len(problems) > 5 else "")
    return _Refusal(
        409,
        f"known with another body: {named}; nothing of this request is stored. Give another output another key",
        path="key",
        keys=keys,
        lines=len(keys),
    )


# -- both --------------------------------------------------------------------------------------------------------


def _spec(conn: Conn, loop: str) -> LoopSpec:
    spec = loops.get(conn, loop) if loop.isprintable() else None
    if spec is None:
        known = loops.names(conn)
        raise _Refusal(404, f"no loop {loop!r}; there are: {', '.join(known) or 'none'}", path="loop", loops=known)
    return spec


def _find(conn: Conn, spec: LoopSpec, key: str) -> list[dict[str, Any]]:
    """The status of the output; empty if there is none, or if no output can have this key."""
    try:
        return statuses(conn, spec, [reading.read_key(key)])
    except InvalidOutput:
        return []


def _allow_any_key(state: BlueprintSetupState) -> None:
    """Let a path hold a key with slashes, two in a row too."""
    state.app.url_map.converters["key"] = _Key
    state.app.url_map.merge_slashes = False


def _refused(exc: _Refusal) -> tuple[Response, int]:
    return jsonify(exc.body), exc.status


def _unavailable(exc: Retriable) -> tuple[Response, int, dict[str, str]]:
    return jsonify(error="Postgres does not answer; try again"), 503, {"Retry-After": str(RETRY_AFTER_S)}
