"""Guard: login, scopes, CSRF tokens and response headers of every review page and of its HTTP API."""

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

from backend.review.authenticators import Authenticator, identify
from labelloop.access.identity import REVIEW, Identity
from labelloop.errors import UnknownValue, UsageError
from labelloop.store.database import Conn, Database
from labelloop.store.record import acting

T = TypeVar("T")
HOME = "/review/"
LOGIN_LASTS_S = 12 * 3600
MAX_BODY = 1 << 20
"""Bytes of a request. Anybody may send a login, and it must not fill the memory that predictions need."""
TRIES, TRIES_IN_S, REMEMBERED = 10, 60.0, 10_000
HEADERS = {
    # Nothing from other sites and nothing inline: if a template failed to escape a text, it still could not run code.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


class _Cookies(SecureCookieSessionInterface):
    """Marks the cookie as secure if the page was opened by https, here or at a proxy in front."""

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure or request.headers.get("X-Forwarded-Proto", "") == "https"


def asker(database: Database) -> Callable[[Callable[[Conn], T]], T]:
    """Return a function that makes a report in a transaction of its own; a missing subject is a 404, as in `found`."""

    def ask(report: Callable[[Conn], T]) -> T:
        with database.transaction() as conn:
            return found(lambda: report(conn))

    return ask


def prepare(app: Flask, secret_key: str) -> None:
    """Let the app sign cookies with this key, for the review pages only."""
    app.secret_key = secret_key
    app.session_interface = _Cookies()
    app.config.update(
        SESSION_COOKIE_NAME="labelloop_review",
        SESSION_COOKIE_PATH="/review",  # a browser sends cookies to all ports of a host; other services must not get it
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=LOGIN_LASTS_S,
    )


def protect(bp: Blueprint, ways: Sequence[Authenticator], is_open: Callable[[str], bool]) -> None:
    """Refuse callers without the scope `review`, except on endpoints for which `is_open` is true.

    Sets `g.identity` to the caller's identity, or None.
    """

    @bp.before_request
    def _check_caller() -> None:
        request.max_content_length = MAX_BODY
        g.identity = identify(request, ways)
        if not is_open((request.endpoint or "").removeprefix(f"{bp.name}.")):
            require_scope(REVIEW)
        check_csrf(g.identity)
        acting.set_actor(g.identity.name if request.method != "GET" and g.identity else "")

    @bp.after_request
    def _with_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def identity() -> Identity | None:
    """Return the identity of the caller; None if the caller is not known."""
    found: Identity | None = g.get("identity")
    return found


def require_scope(scope: str) -> Identity:
    """Return the identity of the caller; 401 if the caller is not known, 403 without the scope."""
    known = identity()
    if known is None:
        abort(401, "A token is needed; `labelloop token create` makes one.")
    if not known.may(scope):
        has = ", ".join(sorted(known.scopes)) or "none"
        abort(403, f"This needs the scope {scope}; {known.name} has: {has}.")
    return known


def found(what: Callable[[], T]) -> T:
    """Return the result of `what`, which looks something up by name or id; 404 if it does not exist.

    400 if only an option, or its value, is not known.
    """
    try:
        return what()
    except UnknownValue as exc:
        abort(400, str(exc))
    except UsageError as exc:
        abort(404, str(exc))


def csrf_token() -> str:
    """Return the CSRF token of this browser's session; it is made at first use."""
    return str(session.setdefault("csrf", secrets.token_urlsafe(32)))


def check_csrf(identity: Identity | None) -> None:
    """Refuse a POST that another site could have made the browser send. No browser sends a bearer token by itself."""
    if request.method != "POST" or (identity is not None and not identity.sent_by_browser):
        return
    given = request.form.get("csrf", "").encode("utf-8", "surrogatepass")
    if "csrf" not in session or not hmac.compare_digest(given, csrf_token().encode()):
        abort(400, "This form is too old or comes from another site; nothing was changed. Open the page again.")


class FailedLogins:
    """Counts wrong tokens by browser session, in the memory of this process. Safe for threads.

    Not by address: behind a proxy all people have the same one, and ten typing errors of one person would lock out the
    others. The limit is for people who mistype; nobody can guess a token, which has 256 random bits.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def too_many(self, session: str) -> bool:
        with self._lock:
            return len(self._recent(session)) >= TRIES

    def add(self, session: str) -> None:
        with self._lock:
            self._wrong[session] = [*self._recent(session), self._clock()]
            self._wrong.move_to_end(session)
            while len(self._wrong) > REMEMBERED:
                self._wrong.popitem(last=False)

    def _recent(self, session: str) -> list[float]:
        return [at for at in self._wrong.get(session, []) if self._clock() - at < TRIES_IN_S]
