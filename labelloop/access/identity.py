"""Identity: name, scopes and limits of a caller."""

from __future__ import annotations

from dataclasses import dataclass

SUBMIT = "submit"
"""May submit outputs."""
READ = "read"
"""May read the state and the answers of outputs, and export feedback."""
FEEDBACK = "feedback"
"""May send answers of reviewers."""
REVIEW = "review"
"""May read the review pages."""
PROMOTE = "promote"
"""May promote, refuse and roll back."""
ADMIN = "admin"
"""May do everything, in every loop."""
SCOPES = (SUBMIT, READ, FEEDBACK, REVIEW, PROMOTE, ADMIN)


@dataclass(frozen=True, slots=True)
class Identity:
    """Name, scopes and limits of a caller."""

    name: str
    """The name that decisions are recorded under."""
    scopes: frozenset[str]
    sent_by_browser: bool = False
    """True if the browser sends the proof by itself. Another site could trigger that, so changes need a CSRF token."""
    loop: str | None = None
    """The only loop that the caller may use; None for every loop."""
    source: str | None = None
    """The source of all outputs that the caller submits, and of all that it may read; None if it may use any."""
    max_bytes: int | None = None
    """Largest request in bytes; None for the limit of the service."""

    def may(self, scope: str) -> bool:
        return scope in self.scopes or ADMIN in self.scopes

    def may_use(self, loop: str) -> bool:
        return self.loop in (None, loop)
