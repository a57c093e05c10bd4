"""The strategies of proba.py for one row, in plain arithmetic.

An output comes in alone, and numpy takes microseconds to start each step for so few numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable


def of_row(strategy: str, shares: Collection[float], n_classes: int) -> float:
    """Return the result of utilities() for a row with these probabilities and 0 for all others. They are scaled to sum
    to 1.
    """
    if n_classes <= 1:
        return 0.0
    total = math.fsum(shares)
    if strategy == "entropy":
        return entropy(shares, n_classes)
    if strategy == "least_confidence":
        return 1.0 - max(shares) / total
    first, second = two_highest(shares)
    if strategy == "margin":
        return 1.0 - (first - second) / total
    if strategy == "ratio":
        return second / first
    raise ValueError(f"{strategy!r} does not read one row of probabilities")


def two_highest(shares: Iterable[float]) -> tuple[float, float]:
    """Return the highest and the second highest probability of a row; the second is 0 if there is only one."""
    first, second = [*sorted(shares, reverse=True), 0.0][:2]
    return first, second


def entropy(shares: Collection[float], n_classes: int) -> float:
    """Return the entropy of one row, divided by log(n_classes); within [0, 1]."""
    if n_classes <= 1:
        return 0.0
    total = math.fsum(shares)
    found = math.log(total) - math.fsum([p * math.log(p) for p in shares if p > 0]) / total
    return min(1.0, max(0.0, found / math.log(n_classes)))
