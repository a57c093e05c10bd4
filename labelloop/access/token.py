"""AccessToken: a token of the review pages as it is stored, without the token itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A row of access_tokens, without the hash."""

    id: UUID
    """Changes each time a token of this name is made, so logins with an earlier token of the name end."""
    name: str
    scopes: Sequence[str]
    created_at: datetime
    revoked_at: datetime | None
    """None while it is valid."""
