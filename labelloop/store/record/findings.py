"""A finding: one thing that is wrong with the record, or with a row that is on record."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of findings."""

    CHANGED = "changed"
    """An entry or its seal is not what was sealed."""
    REMOVED = "removed"
    INSERTED = "inserted"
    BACK_DATED = "back-dated"
    SWAPPED = "swapped"
    CUT = "cut"
    """The end of the record is missing, or the chain was written anew: it differs from a published head."""
    ROW = "row"
    """A row differs from its newest entry."""
    UNGUARDED = "unguarded"
    """A trigger that writes entries is missing or off."""
    UNSEALED = "unsealed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    text: str
    """The fault and its place, as a sentence."""
    entry: int | None = None
    """Id of the entry, see record_entries."""
    table: str | None = None
    key: str | None = None
