"""Fields that pipelines send. Each is read strictly or refused with its path; no value is guessed."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from labelloop.errors import InvalidOutput

MAX_WORD = 200
SUM_TOLERANCE = 1e-3
"""Largest deviation of a sum of probabilities from 1, and of one probability from the range 0 to 1.

32-bit numbers give sums such as 1.0000001.
"""


def word(path: str, value: object, *, empty: bool = True) -> str | None:
    """Return a text of at most MAX_WORD characters; None if it is missing."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidOutput(path, "must be a text")
    if len(value) > MAX_WORD or not (value or empty):
        raise InvalidOutput(path, f"must be {0 if empty else 1} to {MAX_WORD} characters; there are {len(value)}")
    return value


def share(path: str, value: object, *, none: bool = True) -> Any:
    """Return a number from 0 to 1 as a float; None if it is missing and `none` allows that. True is not 1.

    A number outside of the range by at most SUM_TOLERANCE becomes 0 or 1.
    """
    if value is None and none:
        return None
    found = number(path, value)
    if not -SUM_TOLERANCE <= found <= 1 + SUM_TOLERANCE:
        raise InvalidOutput(path, f"must lie between 0 and 1; it is {found:.9g}")
    return min(max(found, 0.0), 1.0)


def number(path: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOutput(path, "must be a number")
    return float(value)


def items(path: str, value: object, lowest: int, most: int, what: str) -> list[Any]:
    """Return a list of `lowest` to `most` items; `what` names them in the message."""
    if not isinstance(value, list):
        raise InvalidOutput(path, f"must be a list of {what}")
    if not lowest <= len(value) <= most:
        raise InvalidOutput(path, f"must be {lowest} to {most} {what}; there are {len(value)}")
    return value


def shares(path: str, value: object) -> dict[str, float]:
    """Return a number from 0 to 1 for each label; at least one label."""
    if not isinstance(value, dict):
        raise InvalidOutput(path, "must be an object: label to probability")
    if not value:
        raise InvalidOutput(path, "is empty")
    found = {}
    for label, one in value.items():
        if not 0 < len(label) <= MAX_WORD:
            raise InvalidOutput(f"{path}.{label[:40]}", f"a label is 1 to {MAX_WORD} characters")
        sound = type(one) is float and 0.0 <= one <= 1.0
        found[label] = one if sound else share(f"{path}.{label}", one, none=False)
    return found


def distribution(path: str, value: object) -> dict[str, float]:
    """Return a probability for each label; they sum to 1."""
    found = shares(path, value)
    sums_to_1(path, math.fsum(found.values()))
    return found


def sums_to_1(path: str, total: float) -> None:
    if abs(total - 1.0) > SUM_TOLERANCE:
        raise InvalidOutput(path, f"must sum to 1 within {SUM_TOLERANCE:g}; they sum to {total:.6g}")


def time(path: str, value: object) -> datetime | None:
    """Return a time with its offset, in UTC; None if it is missing."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(at, datetime) and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidOutput(path, "must be a time with its offset in ISO 8601, such as 2026-01-31T12:00:00+00:00")
