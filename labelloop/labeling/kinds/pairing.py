"""Pairing: which regions of one answer belong to which of another, given how similar they are. Pure.

The pairs have the largest sum of similarities (Kuhn 1955, doi:10.1002/nav.3800020109). Regions that are similar to none
of the same others are paired apart, so that thousands of short marks take no longer than their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

Places = tuple[int, int]
"""Places of a region in one answer and of a region in the other."""
Interval = tuple[float, float]


class Pair(NamedTuple):
    """Two regions that belong together, by their places in two answers."""

    one: int
    other: int
    similarity: float


def assigned(similar: Mapping[Places, float]) -> list[Pair]:
    """Return the pairs by the places of their first regions. `similar` has those that may be one, all above 0."""
    found: list[Pair] = []
    for places in _groups(similar):
        if len(places) > 1:
            found += _assigned(places, similar)
        else:
            found.append(Pair(*places[0], similar[places[0]]))
    return sorted(found)


def _assigned(places: Sequence[Places], similar: Mapping[Places, float]) -> Iterator[Pair]:
    import numpy as np  # both only where regions are close to each other
    from scipy.optimize import linear_sum_assignment

    ones, others = (sorted(set(some)) for some in zip(*places, strict=True))
    row, column = ({place: at for at, place in enumerate(some)} for some in (ones, others))
    table = np.zeros((len(ones), len(others)))
    for one, other in places:
        table[row[one], column[other]] = similar[one, other]
    for i, j in zip(*linear_sum_assignment(table, maximize=True), strict=True):
        if table[i, j] > 0:
            yield Pair(ones[i], others[j], float(table[i, j]))


def _groups(places: Iterable[Places]) -> Iterator[list[Places]]:
    """Yield the places in groups: no two groups share a region."""
    rows: dict[int, list[int]] = {}
    columns: dict[int, list[int]] = {}
    for one, other in places:
        rows.setdefault(one, []).append(other)
        columns.setdefault(other, []).append(one)
    for first in list(rows):
        group, left = list[Places](), [first]
        while left:
            one = left.pop()
            for other in rows.pop(one, ()):
                group.append((one, other))
                left += columns.pop(other, ())
        if group:
            yield group


def overlapping(ones: Sequence[Interval], others: Sequence[Interval]) -> Iterator[Places]:
    """Yield the places of each two open intervals that overlap."""
    intervals = [(*one, 0, i) for i, one in enumerate(ones)] + [(*other, 1, j) for j, other in enumerate(others)]
    begun: list[list[tuple[float, int]]] = [[], []]
    for start, end, side, place in sorted(intervals):
        begun[1 - side] = across = [(until, there) for until, there in begun[1 - side] if until > start]
        for _, there in across:
            yield (place, there) if side == 0 else (there, place)
        begun[side].append((end, place))
