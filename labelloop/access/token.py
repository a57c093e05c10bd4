"""AccessToken: what is kept of a token of the review pages; never the token itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A row of access_tokens, without the hash."""

    id: UUID
    """Another one each time a token of this name is made, so that no login with the one before holds."""
    name: str
    scopes: Sequence[str]
    created_at: datetime
    revoked_at: datetime | None
    """None while it is valid."""
