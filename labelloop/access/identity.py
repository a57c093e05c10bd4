"""Identity: name and scopes of a caller of the review pages."""

from __future__ import annotations

from dataclasses import dataclass

REVIEW = "review"
"""May read the pages."""
PROMOTE = "promote"
"""May promote, refuse and roll back."""
SCOPES = (REVIEW, PROMOTE)


@dataclass(frozen=True, slots=True)
class Identity:
    """Name and scopes of a caller."""

    name: str
    """The name that decisions are recorded under."""
    scopes: frozenset[str]
    sent_by_browser: bool
    """True if the browser sends the proof by itself. Another site could trigger that, so changes need a CSRF token."""

    def may(self, scope: str) -> bool:
        return scope in self.scopes
