"""Similarity of two sets, from 0 to 1. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


def jaccard(one: Collection[Any], other: Collection[Any]) -> float:
    """Return |both| / |either|; two empty sets are the same (Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x)."""
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0


def f1(one: Collection[Any], other: Collection[Any]) -> float:
    """Return 2 |both| / (|one| + |other|), which is symmetric; two empty sets are the same."""
    first, second = set(one), set(other)
    return 2 * len(first & second) / (len(first) + len(second)) if first or second else 1.0
