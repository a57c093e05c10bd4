"""Rounding: a number and its limit in as few digits as keep their order."""

from __future__ import annotations

MOST_ADDED = 9
"""Largest number of digits that are added; further ones are errors of the machine."""


def in_order(value: float, limit: float, digits: str = ".1f", limit_digits: str = ".6g") -> tuple[str, str]:
    """Return both numbers as text, with more digits than given if rounding would make them equal or change their order.

    `digits` and `limit_digits` are format specs, such as ".2f" or ".2g".
    """
    value_text = limit_text = ""
    for more in range(MOST_ADDED + 1):
        value_text, limit_text = (
            f"{number:.{int(spec[1:-1]) + more}{spec[-1]}}" for number, spec in ((value, digits), (limit, limit_digits))
        )
        one, other = float(value_text), float(limit_text)
        if (one > other, one < other) == (value > limit, value < limit):
            break
    return value_text, limit_text
