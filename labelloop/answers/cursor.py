"""Cursor: the place of an export in the changes of a loop's feedback, as an opaque text. Pure."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FORM = re.compile(r"1:([a-z][a-z0-9_-]{0,40}):([0-9]{1,18}):([0-9]{1,16})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last change that an export has seen."""

    loop: str
    seq: int
    """Number of the change, see feedback_changes; 0 before the first change."""
    at: datetime
    """Time of the change: in a database that was restored from a copy, the number may name another change."""

    def __str__(self) -> str:
        micros = (self.at - _EPOCH) // timedelta(microseconds=1)
        return base64.urlsafe_b64encode(f"1:{self.loop}:{self.seq}:{micros}".encode()).decode().rstrip("=")


def start(loop: str) -> Cursor:
    """Return the cursor of a loop without any change."""
    return Cursor(loop, 0, _EPOCH)


def read(text: str) -> Cursor:
    """Return the cursor in this text. Raises ValueError if it is none."""
    try:
        found = _FORM.fullmatch(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode())
    except ValueError:
        found = None
    if found is None:
        raise ValueError(f"{text[:80]!r} is no cursor; use one that an export has given, unchanged")
    return Cursor(found[1], int(found[2]), _EPOCH + timedelta(microseconds=int(found[3])))
