"""The text that people see of a value: Label Studio shows a number or a truth value as JavaScript writes it."""

from __future__ import annotations

import re
from decimal import Decimal

LEAST, MOST = 1e-6, 1e21
"""JavaScript writes numbers from LEAST to MOST, MOST excluded, without an exponent."""


def text_of(value: object) -> str | None:
    """Return the text of a text, a number or a truth value; None for any other value.

    Whole numbers have all their digits.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, float):
        return None
    if value == 0 or LEAST <= abs(value) < MOST:
        return format(Decimal(repr(value + 0.0)), "f").removesuffix(".0")
    return re.sub(r"e([+-])0", r"e\1", repr(value))


def counted(n: int, what: str) -> str:
    """Return the number with its noun, such as `1 line` or `2,000 lines`."""
    return f"{n:,} {what}{'s' * (n != 1)}"
