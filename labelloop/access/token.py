"""AccessToken: a token of a program or a person as it is stored, without the token itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.access.identity import Identity


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A row of access_tokens, without the hashes."""

    id: UUID
    """Changes each time a token of this name is made, so logins with an earlier token of the name end."""
    name: str
    scopes: Sequence[str]
    loop: str | None
    """The only loop that it opens; None for every loop."""
    source: str | None
    """The source of all outputs that it submits and may read; None for any."""
    requests_per_minute: int | None
    """None for no limit."""
    max_bytes: int | None
    """Largest request in bytes; None for the limit of the service."""
    created_at: datetime
    expires_at: datetime | None
    """None if it never expires."""
    revoked_at: datetime | None
    """None while it is not revoked."""
    previous_until: datetime | None
    """Time until which the token works that it replaced; None if it replaced none."""

    def identity(self, *, sent_by_browser: bool = False) -> Identity:
        """Return the caller that holds the token."""
        return Identity(self.name, frozenset(self.scopes), sent_by_browser, self.loop, self.source, self.max_bytes)
