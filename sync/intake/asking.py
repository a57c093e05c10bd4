"""Requests of the sync service: their bodies, the loop that a path names, and refusals as problem details."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flask import Blueprint, Response, request

from labelloop.errors import Busy, Retriable
from labelloop.process.problems import problem
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.tables import loops

MAX_BYTES = 8 << 20
JSON, NDJSON = "application/json", "application/x-ndjson"
RETRY_AFTER_S = 2


class Refusal(Exception):
    """A response other than success. `lines`: how many lines it refuses. `more`: further members of its JSON."""

    def __init__(self, status: int, detail: str, *, lines: int = 1, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.lines = lines
        self.more = more


def handle_refusals(bp: Blueprint) -> None:
    """Have the blueprint answer a Refusal, and 503 while Postgres does not answer."""
    bp.errorhandler(Refusal)(_refused)
    bp.errorhandler(Retriable)(_unavailable)


def spec_of(conn: Conn, loop: str) -> LoopSpec:
    """Return the loop of this name, archived or not; refuse with 404 if there is none."""
    spec = loops.get(conn, loop) if loop.isprintable() else None
    if spec is None:
        known = loops.names(conn)
        raise Refusal(404, f"no loop {loop!r}; there are: {', '.join(known) or 'none'}", path="loop", loops=known)
    return spec


def active_spec(conn: Conn, loop: str, what: str) -> LoopSpec:
    """Return the loop of this name; refuse with 404 if there is none, and with 410 if it is archived.

    `what`: what an archived loop does not take.
    """
    spec = spec_of(conn, loop)
    if loop in (resting := loops.resting(conn)):
        raise Refusal(410, f"loop {loop!r} takes no {what}: it was {resting[loop]}", path="loop")
    return spec


def body(types: Collection[str], words: str, most: int = MAX_BYTES) -> bytes:
    """Return the request's bytes, at most `most` of them; refuse a type that is not one of `types` (in words: `words`),
    and any encoding.
    """
    if request.mimetype not in types:
        raise Refusal(415, f"Content-Type must be {words}")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(415, "Content-Encoding must be identity: a few compressed bytes can fill any memory")
    announced = request.content_length
    if announced is not None and announced > most:
        raise _too_large(most)
    found = bytearray()
    while piece := _piece():
        found += piece
        if len(found) > most:
            raise _too_large(most)
    # Neither Werkzeug nor the server notices a body that ends early, and the lines before its end may be whole.
    if announced is not None and len(found) != announced:
        raise Refusal(400, f"the request's body ends after {len(found)} of {announced} bytes", path="")
    return bytes(found)


def _piece() -> bytes:
    try:
        return request.stream.read(1 << 16)
    except Exception as exc:  # each server has its own error for a broken chunk
        raise Refusal(400, f"the request's body breaks off ({type(exc).__name__})", path="") from exc


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"more than {most} bytes in one request; send several", path="")


def _refused(exc: Refusal) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if exc.status == 401 else {}
    return problem(exc.status, str(exc), headers=headers, **exc.more)


def _unavailable(exc: Retriable) -> Response:
    words = str(exc) if isinstance(exc, Busy) else "Postgres does not answer; try again"
    return problem(503, words, headers={"Retry-After": str(RETRY_AFTER_S)})
