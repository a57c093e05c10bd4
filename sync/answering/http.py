"""Answering over HTTP: a pipeline waits for answers, and ends its hold on an output.

GET  /v1/loops/<loop>/outputs/<key>/answer?wait=30   the status once it is settled, or after `wait` seconds
POST /v1/loops/<loop>/answers                        the same for many keys, once one of them is settled
POST /v1/loops/<loop>/outputs/<key>/outcome          the answer if there is one by now, else the fallback; for ever
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, request

from labelloop.errors import Busy, InvalidOutput
from labelloop.outputs import reading
from labelloop.process import parking
from labelloop.process.metrics import Metrics
from labelloop.reading import fields, strict_json
from labelloop.store.database import Database
from sync.answering.closing import NO_FALLBACK, close
from sync.answering.waiting import POLL_S, ShareUsed, Waiter, Waiting
from sync.callers import Callers
from sync.intake.asking import JSON, Refusal, body, caller, protect, spec_of
from sync.intake.status import statuses

MAX_WAIT_S = 60.0
MAX_KEYS = 500
"""Keys of one request."""
MAX_BODY = 1 << 20


def blueprint(database: Database, callers: Callers, metrics: Metrics) -> Blueprint:
    """Return the routes. The intake's blueprint brings the converter of keys."""
    answering = _Answering(database, metrics)
    bp = Blueprint("answering", __name__, url_prefix="/v1/loops")
    bp.get("/<loop>/outputs/<key:key>/answer")(answering.answer)
    bp.post("/<loop>/answers")(answering.answers)
    bp.post("/<loop>/outputs/<key:key>/outcome")(answering.outcome)
    protect(bp, callers)
    return bp


class _Answering:
    """The routes. Their names label the metrics of requests."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        waiting = metrics.gauge("labelloop_waiting_requests", "Requests that wait for an answer without a thread")
        self._waiting = Waiting(database, waiting)
        self._outcomes = metrics.counter("labelloop_outcomes", "Holds of pipelines that ended", "loop", "outcome")

    def answer(self, loop: str, key: str) -> Response:
        wait_s = _wait_s(request.args.get("wait"))
        if not _ends_with("answer"):  # the key itself ends so: this address is that of its status
            key, wait_s = f"{key}/answer", 0.0
        hold = request.args.get("hold") == "1"
        deadline = _deadline(wait_s)
        ticket: Waiter | None = request.environ.get(parking.TICKET)
        status = None if ticket is None else ticket.found
        while True:
            status = status or self._one(loop, _key(loop, key))
            is_over = status["settled"] or (hold and status["outcome"] is not None)
            waiter = Waiter(deadline, [status["id"]], one=(loop, status["key"], caller()), hold=hold)
            if is_over or not self._wait(waiter):
                return jsonify(status)
            status = None

    def answers(self, loop: str) -> Response:
        ticket = request.environ.get(parking.TICKET)
        asked: _Batch = _batch(_object()) if ticket is None else ticket.asked
        deadline = _deadline(asked.wait_s)
        while True:
            found = self._look(loop, asked.keys)
            settled = [status for status in found if status["settled"]]
            open_ = [status["id"] for status in found if not status["settled"]]
            if settled or not open_ or not self._wait(Waiter(deadline, open_, asked=asked)):
                unknown = sorted({*asked.keys} - {status["key"] for status in found})
                return jsonify(loop=loop, outputs=settled if asked.settled_only else found, unknown=unknown)

    def outcome(self, loop: str, key: str) -> tuple[Response, int]:
        said = _object()
        _refuse_others(said, "fallback", "deadline_at")
        try:
            deadline_at = fields.time("deadline_at", said.get("deadline_at"))
        except InvalidOutput as exc:
            raise Refusal(422, str(exc), path=exc.path) from exc
        with self._database.transaction() as conn:
            spec = spec_of(conn, loop)
            closed = close(conn, spec, _key(loop, key), said.get("fallback", NO_FALLBACK), deadline_at, caller())
        if closed is None:
            raise _unknown(loop, key)
        status, is_new = closed
        if is_new:
            self._outcomes.labels(loop, str(status["outcome"]["kind"])).inc()
        return jsonify(status), 201 if is_new else 200

    def _one(self, loop: str, key: str) -> dict[str, Any]:
        for status in self._look(loop, [key]):
            return status
        raise _unknown(loop, key)

    def _look(self, loop: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        with self._database.transaction() as conn:
            return statuses(conn, spec_of(conn, loop), keys, caller())

    def _wait(self, waiter: Waiter) -> bool:
        """Wait, or park the request if the server can; True when it is time to look again, False at the deadline."""
        left = waiter.deadline - time.monotonic()
        if left <= 0:
            return False
        lot = request.environ.get(parking.LOT)
        if lot is None:
            time.sleep(min(POLL_S, left))
            return True
        if lot.is_full:
            raise Busy("too many requests wait for answers; ask again later")
        waiter.owner = caller().name
        try:
            if not lot.has_share(waiter.owner):
                raise ShareUsed("too many requests of this token wait for answers; others need the rest")
            self._waiting.add(waiter)
        except ShareUsed as exc:
            raise Refusal(429, f"{exc}. Ask again later, or name up to {MAX_KEYS} keys in one request") from None
        raise waiter


# -- the request -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Batch:
    """The body of a request for many keys."""

    keys: Sequence[str]
    """Distinct, and in the form in which keys are stored."""
    wait_s: float
    settled_only: bool
    """Whether the response leaves out the outputs that are not settled."""


def _batch(said: Mapping[str, Any]) -> _Batch:
    _refuse_others(said, "keys", "wait", "settled_only")
    keys, settled_only = said.get("keys"), said.get("settled_only", False)
    if not isinstance(keys, list) or not keys:
        raise Refusal(422, "keys: must be a list of keys", path="keys")
    if len(keys) > MAX_KEYS:
        raise Refusal(413, f"keys: {len(keys)} keys in one request; send at most {MAX_KEYS}", path="keys")
    if not isinstance(settled_only, bool):
        raise Refusal(422, "settled_only: must be true or false", path="settled_only")
    try:
        read = dict.fromkeys(map(reading.read_key, keys))
    except InvalidOutput as exc:
        raise Refusal(422, str(exc), path="keys") from exc
    return _Batch(list(read), _wait_s(said.get("wait")), settled_only)


def _object() -> dict[str, Any]:
    """Return the body, a JSON object."""
    try:
        said = strict_json.loads(body((JSON,), JSON, MAX_BODY))
    except InvalidOutput as exc:
        raise Refusal(exc.status, str(exc), path=exc.path) from exc
    if not isinstance(said, dict):
        raise Refusal(422, "the body must be a JSON object", path="")
    return said


def _refuse_others(said: Mapping[str, Any], *known: str) -> None:
    others = sorted(said.keys() - set(known))
    if others:
        raise Refusal(422, f"{others[0]}: no such field; there are: {', '.join(known)}", path=others[0])


def _wait_s(given: object) -> float:
    """Return the seconds that the request may wait; 0 if it names none."""
    try:
        seconds = float(given) if isinstance(given, str | int | float) and not isinstance(given, bool) else None
    except ValueError:
        seconds = None
    if given is None:
        return 0.0
    if seconds is None or not 0 <= seconds <= MAX_WAIT_S:
        raise Refusal(422, f"wait: must be a number of seconds from 0 to {MAX_WAIT_S:g}; it is {given!r}", path="wait")
    return seconds


def _deadline(wait_s: float) -> float:
    """Return the time, by time.monotonic(), until which this request may wait: since it first came."""
    ticket = request.environ.get(parking.TICKET)
    if ticket is None:
        return time.monotonic() + wait_s
    if ticket.problem is not None:
        raise ticket.problem
    return float(ticket.deadline)


def _ends_with(route: str) -> bool:
    """Whether the address ends with this route; False if its slash is encoded, and so belongs to a key."""
    sent = request.environ.get("REQUEST_URI") or request.environ.get("RAW_URI") or f"/{route}"
    return str(sent).partition("?")[0].endswith(f"/{route}")


def _key(loop: str, key: str) -> str:
    """Return the key in the form in which it is stored."""
    try:
        return reading.read_key(key)
    except InvalidOutput:  # no output can have it
        raise _unknown(loop, key) from None


# -- the response ------------------------------------------------------------------------------------------------


def _unknown(loop: str, key: str) -> Refusal:
    return Refusal(404, f"no output {key!r} in loop {loop!r}", path="key")
