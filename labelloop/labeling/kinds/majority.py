"""The parts of answers that most people gave. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


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
