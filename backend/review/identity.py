"""Identity: who makes a request of the review pages, and what they may do. Each way to know it is an Authenticator.

An identity provider is one more Authenticator in `authenticators`: the header of a proxy that logs people in is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from flask import Request, session

from labelloop.access import callers, credentials
from labelloop.access.token import AccessToken
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import access

PROXY_SECRET = "X-Labelloop-Proxy"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who it is. `name` signs decisions."""

    name: str
    scopes: frozenset[str]
    sent_by_browser: bool
    """The browser adds the proof by itself, as another site could make it do: a change needs a CSRF token too."""

    def may(self, scope: str) -> bool:
        return scope in self.scopes


Authenticator = Callable[[Request], Identity | None]
"""Who makes this request; None: that cannot be told in this way."""


def authenticators(settings: Settings, database: Database) -> list[Authenticator]:
    """The ways that these settings allow, in order."""
    ways = [by_bearer(database), by_session(database)]
    if settings.review_proxy_header:
        settings.require("review_proxy_secret")
        ways.append(by_proxy(database, settings.review_proxy_header, settings.review_proxy_secret))
    return ways


def who(request: Request, ways: Sequence[Authenticator]) -> Identity | None:
    """The first answer; None: nobody who is known."""
    return next((found for way in ways if (found := way(request)) is not None), None)


def by_bearer(database: Database) -> Authenticator:
    """A token in the Authorization header."""

    def way(request: Request) -> Identity | None:
        token = credentials.bearer(request.headers.get("Authorization", ""))
        if not token:
            return None
        with database.transaction() as conn:
            return _identity(access.of_token(conn, token), sent_by_browser=False)

    return way


def by_session(database: Database) -> Authenticator:
    """The cookie of who has logged in. It holds the token's id, which is looked up at each request: revoked is out."""

    def way(_: Request) -> Identity | None:
        token_id = session.get("token")
        if token_id is None:
            return None
        with database.transaction() as conn:
            return _identity(access.of_id(conn, UUID(token_id)), sent_by_browser=True)

    return way


def by_proxy(database: Database, header: str, secret: str) -> Authenticator:
    """The name in the header of a proxy that has logged somebody in, and proves itself by the secret that it shares.

    What they may do stands where it stands for all: in the token of that name.
    """

    def way(request: Request) -> Identity | None:
        name, proof = request.headers.get(header, ""), request.headers.get(PROXY_SECRET, "")
        if not name or not callers.is_same(proof, secret):
            return None
        with database.transaction() as conn:
            return _identity(access.of_name(conn, name), sent_by_browser=True)

    return way


def _identity(row: AccessToken | None, *, sent_by_browser: bool) -> Identity | None:
    return None if row is None else Identity(row.name, frozenset(row.scopes), sent_by_browser)
