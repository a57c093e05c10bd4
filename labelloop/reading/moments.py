"""A moment that a person names: a day, a time, or a duration before now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from labelloop.errors import UnknownValue

FIRST_YEAR, LAST_YEAR = 1970, 9000
"""Far enough from the first and the last year of a datetime, so that no time zone leaves them."""


def moment(name: str, given: str, now: datetime) -> datetime:
    """Return the time, in UTC, that is given as a day, as a time with or without its offset, or as a duration.

    `name` is what an error calls it. Raises UnknownValue if it is none of these, or not of the years 1970 to 9000.
    """
    at = _read(name, given, now)
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise UnknownValue(f"{name} takes a time of the years {FIRST_YEAR} to {LAST_YEAR}; {given!r} is of {at.year}")
    return at


def _read(name: str, given: str, now: datetime) -> datetime:
    if match := re.fullmatch(r"(\d{1,4})([hdw])", given):
        unit = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}[match[2]]
        return now - int(match[1]) * unit
    try:
        at = datetime.fromisoformat(given)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        what = "a day such as 2026-01-31, a time such as 2026-01-31T14:00Z, or 12h, 30d or 8w"
        raise UnknownValue(f"{name} takes {what}; it is {given!r}") from None
