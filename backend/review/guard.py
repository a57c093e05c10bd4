"""Guard: what stands before every review page and its HTTP: login, scopes, CSRF, and headers for the browser."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

from flask import Blueprint, Flask, Response, abort, g, request, session
from flask.sessions import SecureCookieSessionInterface

from backend.review.identity import Authenticator, Identity, who
from labelloop.errors import UsageError
from labelloop.store.database import Conn, Database
from labelloop.store.tables import access

T = TypeVar("T")
LOGIN_LASTS_S = 12 * 3600
MAX_BODY = 1 << 20
"""Strangers may send a login: it is not to fill the memory that predictions need."""
TRIES, TRIES_IN_S, REMEMBERED = 10, 60.0, 10_000
HEADERS = {
    # Nothing from elsewhere, nothing inline: text that got past the templates' escaping still runs nothing.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class _Cookies(SecureCookieSessionInterface):
    """The cookie is marked secure where the page was opened by https, be it at a proxy in front."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure or request.headers.get("X-Forwarded-Proto", "") == "https"


def asker(database: Database) -> Callable[[Callable[[Conn], T]], T]:
    """A way to ask for a report, in a transaction of its own; 404 as in `found`."""

    def ask(report: Callable[[Conn], T]) -> T:
        with database.transaction() as conn:
            return found(lambda: report(conn))

    return ask


def prepare(app: Flask, secret_key: str) -> None:
    """Cookies signed with this key, for the review pages only."""
    app.secret_key = secret_key
    app.session_interface = _Cookies()
    app.config.update(
        SESSION_COOKIE_NAME="labelloop_review",
        SESSION_COOKIE_PATH="/review",  # cookies are not kept apart by port: others of this host need not see it
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=LOGIN_LASTS_S,
    )


def stand_before(bp: Blueprint, ways: Sequence[Authenticator], is_open: Callable[[str], bool]) -> None:
    """Let in who is known and may look. `is_open` names endpoints that need nobody. `g.identity` is who it is."""

    @bp.before_request
    def _let_in() -> None:
        request.max_content_length = MAX_BODY
        g.identity = who(request, ways)
        if not is_open((request.endpoint or "").removeprefix(f"{bp.name}.")):
            need(access.REVIEW)
        check_csrf(g.identity)

    @bp.after_request
    def _with_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def identity() -> Identity | None:
    """Who makes this request; None on what is open to all."""
    found: Identity | None = g.get("identity")
    return found


def need(scope: str) -> Identity:
    """Who makes this request, if they may; 401 for nobody, 403 for somebody who may not."""
    known = identity()
    if known is None:
        abort(401, "A token is needed: `labelloop token add` makes one.")
    if not known.may(scope):
        has = ", ".join(sorted(known.scopes)) or "none"
        abort(403, f"This needs the scope {scope}; {known.name} has: {has}.")
    return known


def found(what: Callable[[], T]) -> T:
    """What was asked for by a name or an id; 404 where there is no such thing."""
    try:
        return what()
    except UsageError as exc:
        abort(404, str(exc))


def csrf_token() -> str:
    """The one of this browser's session, made at first use."""
    return str(session.setdefault("csrf", secrets.token_urlsafe(32)))


def check_csrf(identity: Identity | None) -> None:
    """Refuse what another site could have made the browser send; a bearer token is no browser's own."""
    if request.method != "POST" or (identity is not None and not identity.sent_by_browser):
        return
    given = request.form.get("csrf", "").encode("utf-8", "surrogatepass")
    if "csrf" not in session or not hmac.compare_digest(given, csrf_token().encode()):
        abort(400, "This form is too old, or comes from elsewhere: nothing was changed. Open the page again.")


class Tries:
    """Wrong tokens by browser session. In memory of this process. Safe for threads.

    Not by address: behind a proxy everybody has the same, and ten slips of one person would keep all others out. It is
    for people who mistype; what keeps a guesser out is that a token has 256 random bits.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def too_many(self, session: str) -> bool:
        with self._lock:
            return len(self._recent(session)) >= TRIES

    def wrong(self, session: str) -> None:
        with self._lock:
            self._wrong[session] = [*self._recent(session), self._clock()]
            self._wrong.move_to_end(session)
            while len(self._wrong) > REMEMBERED:
                self._wrong.popitem(last=False)

    def _recent(self, session: str) -> list[float]:
        return [at for at in self._wrong.get(session, []) if self._clock() - at < TRIES_IN_S]
