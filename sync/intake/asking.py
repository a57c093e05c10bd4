"""Requests of the sync service: who calls, the body, the loop that a path names, and refusals as problem details."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Collection
from typing import Any

from flask import Blueprint, Flask, Response, g, request

from labelloop.access.credentials import bearer
from labelloop.access.identity import Identity
from labelloop.access.needs import ANY, scope_of
from labelloop.errors import Busy, Retriable
from labelloop.process import parking
from labelloop.process.problems import problem
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.record import acting
from labelloop.store.tables import loops
from sync.callers import Callers, TooManyRequests

MAX_BYTES = 8 << 20
JSON, NDJSON = "application/json", "application/x-ndjson"
RETRY_AFTER_S = 2
NO_TOKEN = "this needs the header `Authorization: Bearer <token>`; `labelloop token create` makes a token"
UNKNOWN_TOKEN = "the token is not known, has expired or was revoked; `labelloop token create` makes a token"


class Refusal(Exception):
    """A response other than success. `lines`: how many lines it refuses. `more`: further members of its JSON."""

    def __init__(self, status: int, detail: str, *, lines: int = 1, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.lines = lines
        self.more = more


def protect(bp: Blueprint, callers: Callers) -> None:
    """Have the blueprint refuse callers without the scope that a route needs."""

    @bp.before_request
    def _check() -> None:
        if request.method == "OPTIONS":  # a browser asks without credentials whether it may call
            return
        known = admit(callers)
        assert request.url_rule is not None  # a blueprint is asked for its own routes only
        scope = scope_of(request.method, request.url_rule.rule)
        if scope is not None and scope != ANY:
            require(known, scope)
        loop = (request.view_args or {}).get("loop")
        if loop is not None and not known.may_use(loop):
            raise Refusal(403, f"the token of {known.name} is for loop {known.loop!r} only", path="loop")
        g.caller = known

    bp.errorhandler(Retriable)(_unavailable)


def answer_refusals(app: Flask) -> None:
    """Have the app answer refusals, and callers with too many requests."""
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(TooManyRequests, _too_many)


def admit(callers: Callers) -> Identity:
    """Return the caller of this request; refuse an unknown one with 401."""
    authorization = request.headers.get("Authorization", "")
    # A parked request comes back when its answer is there: it was counted before.
    known = callers.identify(authorization, counts=request.environ.get(parking.TICKET) is None)
    if known is None:
        raise Refusal(401, UNKNOWN_TOKEN if bearer(authorization) else NO_TOKEN)
    acting.set_actor("" if request.method == "GET" else known.name)
    return known


def require(known: Identity, scope: str) -> None:
    """Refuse a caller without the scope with 403."""
    if not known.may(scope):
        has = ", ".join(sorted(known.scopes)) or "none"
        raise Refusal(403, f"this needs the scope {scope}; {known.name} has: {has}")


def caller() -> Identity:
    """Return the caller of this request."""
    known: Identity = g.caller
    return known


def spec_of(conn: Conn, loop: str) -> LoopSpec:
    """Return the loop of this name, archived or not; refuse with 404 if there is none."""
    return _found(conn, loop)[0]


def active_spec(conn: Conn, loop: str, what: str) -> LoopSpec:
    """Return the loop of this name; refuse with 404 if there is none, and with 410 if it is archived.

    `what`: what an archived loop does not take.
    """
    spec, rest = _found(conn, loop)
    if rest is not None:
        raise Refusal(410, f"loop {loop!r} takes no {what}: it was {rest}", path="loop")
    return spec


def _found(conn: Conn, loop: str) -> tuple[LoopSpec, str | None]:
    spec, rest = loops.get_with_rest(conn, loop) if loop.isprintable() else (None, None)
    if spec is None:
        known = [name for name in loops.names(conn) if caller().may_use(name)]
        raise Refusal(404, f"no loop {loop!r}; there are: {', '.join(known) or 'none'}", path="loop", loops=known)
    return spec, rest


def body(types: Collection[str], words: str, most: int = MAX_BYTES) -> bytes:
    """Return the request's bytes, at most `most` of them; refuse a type that is not one of `types` (in words: `words`).

    A body in gzip is decompressed. `most` holds for the bytes before and after it.
    """
    if request.mimetype not in types:
        raise Refusal(415, f"Content-Type must be {words}; it is {request.mimetype[:100]!r}")
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise Refusal(415, f"Content-Encoding must be gzip or identity; it is {encoding[:100]!r}")
    announced = request.content_length
    most = min(most, caller().max_bytes or most)
    if announced is not None and announced > most:
        raise _too_large(most)
    found = bytearray()
    while piece := _piece():
        found += piece
        if len(found) > most:
            raise _too_large(most)
    if (cut_at := request.environ.get(parking.CUT_AT)) is not None:
        if cut_at >= most:  # it counts the bytes between chunks too
            raise _too_large(most)
        # When the head came, the server's loop did not know the token.
        raise Refusal(503, "this token is new and not known everywhere yet; send the request again")
    # Neither Werkzeug nor the server notices a body that ends early, and the lines before its end may be whole.
    if announced is not None and len(found) != announced:
        raise Refusal(400, f"the request's body ends after {len(found)} of {announced} bytes", path="")
    return _decompressed(bytes(found), most) if encoding == "gzip" else bytes(found)


def _decompressed(sent: bytes, most: int) -> bytes:
    """Return the bytes that were compressed; never more than `most` + 1 of them are in memory."""
    try:
        found = gzip.GzipFile(fileobj=io.BytesIO(sent)).read(most + 1)
    except (EOFError, OSError, zlib.error) as exc:
        raise Refusal(400, f"the request's body is not gzip, as Content-Encoding says: {exc}", path="") from exc
    if len(found) > most:
        raise _too_large(most)
    return found


def _piece() -> bytes:
    try:
        return request.stream.read(1 << 16)
    except Exception as exc:  # each server has its own error for a broken chunk
        raise Refusal(400, f"the request's body breaks off ({type(exc).__name__})", path="") from exc


def _too_large(most: int) -> Refusal:
    return Refusal(413, f"more than {most} bytes in one request; send several", path="")


_HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    429: {"Retry-After": str(RETRY_AFTER_S)},
    503: {"Retry-After": str(RETRY_AFTER_S)},
}


def _refused(exc: Refusal) -> Response:
    return problem(exc.status, str(exc), headers=_HEADERS.get(exc.status), **exc.more)


def _too_many(exc: TooManyRequests) -> Response:
    return problem(429, str(exc), headers={"Retry-After": str(math.ceil(exc.pause_s))})


def _unavailable(exc: Retriable) -> Response:
    return _refused(Refusal(503, str(exc) if isinstance(exc, Busy) else "Postgres does not answer; try again"))
