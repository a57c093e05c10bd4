"""Callers of the sync service: pipelines and programs, with a token of labelloop or of an identity provider."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from labelloop.access import callers, credentials
from labelloop.access.identity import FEEDBACK, READ, SUBMIT, Identity
from labelloop.access.token import AccessToken
from labelloop.errors import Retriable
from labelloop.process.oidc import Provider
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import access

logger = logging.getLogger(__name__)

INTAKE = Identity("intake", frozenset((SUBMIT, READ, FEEDBACK)))
"""The caller with the token of the settings."""
REFRESH_EVERY_S = 2.0
"""Seconds between two reads of the hashes of all tokens."""


class TooManyRequests(Exception):
    """The token has used up its requests of this minute. `pause_s`: seconds until the next one is allowed."""

    def __init__(self, name: str, limit: int, pause_s: float) -> None:
        super().__init__(f"the token of {name} allows {limit} requests a minute")
        self.pause_s = pause_s


class Callers:
    """Finds out who calls. Safe for threads."""

    def __init__(self, settings: Settings, database: Database, sleep: Callable[[float], None] = time.sleep) -> None:
        self._intake_token = settings.intake_token
        self._database = database
        self._provider = Provider(settings) if settings.oidc_issuer else None
        self._sleep = sleep
        self._hashes = frozenset[bytes]()

    def identify(self, authorization: str, *, counts: bool = True) -> Identity | None:
        """Return the caller with this Authorization header; None for an unknown caller.

        `counts`: whether the request counts for the limit of a token.

        Raises TooManyRequests, and Retriable if Postgres or the identity provider does not answer.
        """
        token = credentials.bearer(authorization)
        if callers.is_same(token, self._intake_token):
            return INTAKE
        if not token:
            return None
        if self._provider is not None and (found := self._provider.identity(token)) is not None:
            return found
        with self._database.transaction() as conn:
            row = access.of_token(conn, token)
            is_limited = counts and row is not None and row.requests_per_minute is not None
            pause_s = access.spend(conn, row.id) if row is not None and is_limited else 0.0
        if row is None:
            return None
        if pause_s:
            raise _too_many(row, pause_s)
        return row.identity()

    def is_known(self, authorization: str) -> bool:
        """Return whether the caller may send a large body, without asking anybody: the server's loop calls this.

        False for a token that is younger than REFRESH_EVERY_S seconds.
        """
        token = credentials.bearer(authorization)
        if callers.is_same(token, self._intake_token) or access.sha256(token) in self._hashes:
            return True
        return self._provider is not None and self._provider.is_known(token)

    def refresh(self) -> None:
        """Read the hashes of all valid tokens."""
        with self._database.transaction() as conn:
            self._hashes = frozenset(access.hashes(conn))

    def keep_fresh(self) -> None:
        """Refresh for ever: the loop of a thread that each process of the service runs."""
        while True:
            try:
                self.refresh()
            except Retriable as exc:
                logger.warning("tokens not refreshed: %s", exc)
            self._sleep(REFRESH_EVERY_S)


def _too_many(row: AccessToken, pause_s: float) -> TooManyRequests:
    assert row.requests_per_minute is not None
    return TooManyRequests(row.name, row.requests_per_minute, pause_s)
