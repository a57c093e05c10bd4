"""Claims: what an identity provider says about a caller, and the scopes that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labelloop.access.identity import PROMOTE, REVIEW, SCOPES, SUBMIT, Identity
from labelloop.errors import SettingsError
from labelloop.reading.fields import MAX_WORD


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """The claims that matter, and the scopes of their values."""

    name_claim: str
    """Claim with the name that decisions are recorded under; `sub` if a token lacks it."""
    scopes_claim: str
    """Claim with the values that give scopes: a list, or a text with blanks between the values."""
    scopes: Mapping[str, frozenset[str]]
    """Scopes by value of that claim. Other values give none."""

    def identity(self, claims: Mapping[str, Any], *, sent_by_browser: bool = False) -> Identity | None:
        """Return the caller with these claims, which must have been verified; None if it has no usable name.

        A caller that submits is a pipeline: its name is the source of its outputs.
        """
        name = claims.get(self.name_claim) or claims.get("sub")
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > MAX_WORD:
            return None
        found = claims.get(self.scopes_claim)
        values = found.split() if isinstance(found, str) else found if isinstance(found, list) else []
        scopes = frozenset[str]().union(*(self.scopes.get(value, ()) for value in values if isinstance(value, str)))
        source = name if SUBMIT in scopes and REVIEW not in scopes else None
        return Identity(name, scopes, sent_by_browser, source=source)


def rules(name_claim: str, scopes_claim: str, mapping: str) -> ClaimRules:
    """Return the rules that the settings give. Raises SettingsError for an unknown scope.

    `mapping` is `value=scope,scope; value=scope`. If it is empty, each scope's own name gives this scope.
    """
    if not mapping.strip():
        return ClaimRules(name_claim, scopes_claim, {scope: frozenset((scope,)) for scope in SCOPES})
    scopes = dict[str, frozenset[str]]()
    for entry in filter(str.strip, mapping.split(";")):
        value, _, words = (part.strip() for part in entry.partition("="))
        given = {word.strip() for word in words.split(",") if word.strip()}
        if not value or not given or given - set(SCOPES):
            raise SettingsError(
                f"LABELLOOP_OIDC_SCOPES: {entry.strip()!r} must be VALUE=SCOPE,SCOPE; scopes: {', '.join(SCOPES)}"
            )
        scopes[value] = frozenset(given | {REVIEW} if PROMOTE in given else given)
    return ClaimRules(name_claim, scopes_claim, scopes)
