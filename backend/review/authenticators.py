"""Authenticators: the ways to find out who is the caller of a review page.

They are a token, a login with it, an identity provider, and the header of a proxy that logs people in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from uuid import UUID

from flask import Request, session

from labelloop.access import callers, credentials
from labelloop.access.identity import Identity
from labelloop.access.token import AccessToken
from labelloop.process.oidc import Provider
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import access

PROXY_SECRET = "X-Labelloop-Proxy"
PROVIDER_LASTS_S = 3600
"""Seconds until the provider must confirm the person again. It usually does so without a form."""


Authenticator = Callable[[Request], Identity | None]
"""Returns the identity of the caller; None if the request has no valid proof of this kind."""


def authenticators(settings: Settings, database: Database) -> list[Authenticator]:
    """Return the authenticators that the settings allow, in the order of use."""
    ways = [by_bearer(database), by_session(database)]
    if settings.oidc_issuer:
        ways += [by_provider(Provider(settings)), by_login]
    if settings.review_proxy_header:
        settings.require("review_proxy_secret")
        ways.append(by_proxy(database, settings.review_proxy_header, settings.review_proxy_secret))
    return ways


def identify(request: Request, ways: Sequence[Authenticator]) -> Identity | None:
    """Return the identity that the first authenticator finds; None if the caller is not known."""
    return next((found for way in ways if (found := way(request)) is not None), None)


def by_bearer(database: Database) -> Authenticator:
    """Authenticate by a token in the Authorization header."""

    def way(request: Request) -> Identity | None:
        token = credentials.bearer(request.headers.get("Authorization", ""))
        if not token:
            return None
        with database.transaction() as conn:
            return _identity(access.of_token(conn, token), sent_by_browser=False)

    return way


def by_provider(provider: Provider) -> Authenticator:
    """Authenticate by a token of the identity provider in the Authorization header."""

    def way(request: Request) -> Identity | None:
        return provider.identity(credentials.bearer(request.headers.get("Authorization", "")))

    return way


def by_login(_: Request) -> Identity | None:
    """Authenticate by the cookie of a login at the identity provider, for PROVIDER_LASTS_S seconds."""
    found = session.get("person")
    if not isinstance(found, dict) or time.time() > found["until"]:
        return None
    return Identity(found["name"], frozenset(found["scopes"]), sent_by_browser=True)


def remember(person: Identity) -> None:
    """Store the person that the identity provider named in the browser's session."""
    session["person"] = {"name": person.name, "scopes": sorted(person.scopes), "until": time.time() + PROVIDER_LASTS_S}


def by_session(database: Database) -> Authenticator:
    """Authenticate by the cookie of a login.

    The cookie holds the id of a token. Each request looks the token up, so a revoked one is refused at once.
    """

    def way(_: Request) -> Identity | None:
        token_id = session.get("token")
        if token_id is None:
            return None
        with database.transaction() as conn:
            return _identity(access.of_id(conn, UUID(token_id)), sent_by_browser=True)

    return way


def by_proxy(database: Database, header: str, secret: str) -> Authenticator:
    """Authenticate by the header of a proxy that has logged a person in; the proxy proves itself by a shared secret.

    The person's scopes are those of the token of that name.
    """

    def way(request: Request) -> Identity | None:
        name, proof = request.headers.get(header, ""), request.headers.get(PROXY_SECRET, "")
        if not name or not callers.is_same(proof, secret):
            return None
        with database.transaction() as conn:
            return _identity(access.of_name(conn, name), sent_by_browser=True)

    return way


def _identity(row: AccessToken | None, *, sent_by_browser: bool) -> Identity | None:
    return None if row is None else row.identity(sent_by_browser=sent_by_browser)
