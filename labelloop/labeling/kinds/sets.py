"""Answers as sets of parts: how similar two are, and the parts that most people gave. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Sequence
from typing import Any, TypeVar

T = TypeVar("T", bound=Hashable)


def jaccard(one: Collection[Any], other: Collection[Any]) -> float:
    """Return |both| / |either|; two empty sets are the same (Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x)."""
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0


def f1(one: Collection[Any], other: Collection[Any]) -> float:
    """Return 2 |both| / (|one| + |other|), which is symmetric; two empty sets are the same."""
    first, second = set(one), set(other)
    return 2 * len(first & second) / (len(first) + len(second)) if first or second else 1.0


def given_by_most(answers: Sequence[Sequence[T]]) -> list[T] | None:
    """Return the parts that more than half gave; None for a tie.

    It is a tie if exactly half gave a part, or if most gave some part but no part is common to most.
    """
    half = len(answers) / 2
    counts = Counter(part for answer in answers for part in set(answer))
    found = [part for part, count in counts.items() if count > half]
    if half in counts.values() or (not found and sum(not answer for answer in answers) <= half):
        return None
    return found
