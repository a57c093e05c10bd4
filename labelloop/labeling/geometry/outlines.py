"""Outlines: the areas of closed outlines, and of what each two share. Pure.

An outline is an array of corners, shape (n, 2), closed from the last to the first. It may cross itself: a point is
inside if a ray from it crosses the outline an odd number of times (the even-odd rule). Areas are in the square of the
coordinates' unit.

The method cuts both outlines into horizontal bands at every corner and every crossing. Within a band no two edges
cross, so its area is its height times the length inside at its middle: this is exact. Outlines with more than
MOST_EXACT corners together are measured on LINES lines instead, with an error of about 1 / LINES of their height.

Many pairs are measured at once: an array holds the edges of all pairs, and another the bands of all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Outline = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]
MOST_EXACT = 500
LINES = 2_000
MOST_TOGETHER = 5_000
"""Largest number of edges of pairs that are worked on at a time; a pair with more is alone."""


class Areas(NamedTuple):
    """Areas of two outlines, and of the part that they share."""

    one: float
    other: float
    both: float


class Bands(NamedTuple):
    """Bands of several pairs, from the first pair to the last."""

    heights: Numbers
    middles: Numbers
    pairs: Places
    """The pair that each band belongs to."""
    first: Places
    """The first band of each edge."""
    last: Places
    """The band after its last one."""


def areas(one: Outline, other: Outline) -> Areas:
    """Return the areas of both outlines, and of what they share."""
    return areas_of([(one, other)])[0]


def areas_of(pairs: Sequence[tuple[Outline, Outline]]) -> list[Areas]:
    """Return the areas of the two outlines of each pair, and of what they share."""
    edges = [(_edges(one), _edges(other)) for one, other in pairs]
    return [found for some in _chunks(edges) for found in _swept(edges[some])]


def crossings(outline: Outline, heights: Numbers) -> tuple[Places, Numbers]:
    """Return each crossing of the outline with these rising heights: the place of the height, and where it is."""
    edges = _edges(outline)
    edge, row = _spread(*_between(edges, heights))
    return row, _at(edges[edge], heights[row])


def _edges(outline: Outline) -> Numbers:
    """Return the edges as rows x1, y1, x2, y2, without the horizontal ones."""
    edges = np.concatenate([outline, np.concatenate([outline[1:], outline[:1]])], axis=1)
    return np.asarray(edges[edges[:, 1] != edges[:, 3]])


def _chunks(edges: Sequence[tuple[Numbers, Numbers]]) -> Iterator[slice]:
    """Yield slices of the pairs: several with at most MOST_TOGETHER edges, or one pair."""
    start = total = 0
    for i, (one, other) in enumerate(edges):
        total += len(one) + len(other)
        if start < i and total > MOST_TOGETHER:
            yield slice(start, i)
            start, total = i, len(one) + len(other)
    if start < len(edges):
        yield slice(start, len(edges))


def _swept(edges: Sequence[tuple[Numbers, Numbers]]) -> list[Areas]:
    flat = np.concatenate([some for pair in edges for some in pair])
    counts = np.array([len(some) for pair in edges for some in pair])
    owner = np.repeat(np.arange(len(counts)), counts)
    bands = _lines(flat) if len(edges) == 1 and len(flat) > MOST_EXACT else _bands(flat, owner // 2)
    edge, band = _spread(bands.first, bands.last)
    places = _at(flat[edge], bands.middles[band])
    order = np.lexsort((places, band))
    is_other = owner[edge[order]] % 2
    # Every outline is crossed an even number of times in a band, so nothing is inside from one band to the next.
    inside_other = np.cumsum(is_other)[:-1] % 2
    inside_one = np.cumsum(1 - is_other)[:-1] % 2
    band = band[order][:-1]
    shares = np.diff(places[order]) * bands.heights[band]
    found = [
        np.bincount(bands.pairs[band], shares * inside, len(edges))
        for inside in (inside_one, inside_other, inside_one * inside_other)
    ]
    return [Areas(*row) for row in np.transpose(found).tolist()]


def _between(edges: Numbers, heights: Numbers) -> tuple[Places, Places]:
    """Return the first of the rising heights that each edge reaches, and the one after its last."""
    ends = np.sort(edges[:, [1, 3]], axis=1)
    return np.searchsorted(heights, ends[:, 0]), np.searchsorted(heights, ends[:, 1])


def _spread(first: Places, last: Places) -> tuple[Places, Places]:
    """Return each edge once for each of its bands, and the band."""
    counts = last - first
    edge = np.repeat(np.arange(len(counts)), counts)
    return edge, np.arange(len(edge)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]


def _at(edges: Numbers, heights: Numbers) -> Numbers:
    """Return where each edge is at its height."""
    x1, y1, x2, y2 = edges.T
    return np.asarray(x1 + (heights - y1) / (y2 - y1) * (x2 - x1))


def _lines(edges: Numbers) -> Bands:
    ends = edges[:, [1, 3]]
    cuts = np.linspace(ends.min(), ends.max(), LINES + 1)
    middles = (cuts[1:] + cuts[:-1]) / 2
    return Bands(np.diff(cuts), middles, np.zeros(LINES, dtype=np.int64), *_between(edges, middles))


def _bands(edges: Numbers, owner: Places) -> Bands:
    """`owner`: the pair of each edge."""
    meetings, met = _meetings(edges, owner)
    heights = np.concatenate([edges[:, 1], edges[:, 3], meetings])
    pair = np.concatenate([owner, owner, met])
    order = np.lexsort((heights, pair))
    heights, pair = heights[order], pair[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (np.diff(heights) != 0) | (np.diff(pair) != 0)
    band = np.empty(len(order), dtype=np.int64)
    band[order] = np.cumsum(is_new) - 1
    ends = np.sort(band[: 2 * len(edges)].reshape(2, -1), axis=0)
    cuts = np.append(heights[is_new], 0.0)  # the band after the last one of a pair has no edge
    return Bands(np.diff(cuts), (cuts[1:] + cuts[:-1]) / 2, pair[is_new], *ends)


def _meetings(edges: Numbers, owner: Places) -> tuple[Numbers, Places]:
    """Return the heights at which two edges of a pair cross, and the pairs."""
    one, other = _level(edges, owner)
    start, way, its_way = edges[one, :2], edges[one, 2:] - edges[one, :2], edges[other, 2:] - edges[other, :2]
    between = edges[other, :2] - start
    turn = way[:, 0] * its_way[:, 1] - way[:, 1] * its_way[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (between[:, 0] * its_way[:, 1] - between[:, 1] * its_way[:, 0]) / turn
        its_along = (between[:, 0] * way[:, 1] - between[:, 1] * way[:, 0]) / turn
    inside = (along > 0) & (along < 1) & (its_along > 0) & (its_along < 1)
    return np.asarray((start[:, 1] + along * way[:, 1])[inside]), owner[one[inside]]


def _level(edges: Numbers, owner: Places) -> tuple[Places, Places]:
    """Return each two edges of a pair that reach a common height: no others cross."""
    ends = np.sort(edges[:, [1, 3]], axis=1)
    order = np.lexsort((ends.T.ravel(), np.tile(owner, 2)))
    is_start = order < len(edges)
    begun = np.empty(len(order), dtype=np.int64)
    begun[order] = np.cumsum(is_start)  # edges that begin up to this end, from the first pair on
    one, place = _spread(begun[: len(edges)], begun[len(edges) :])
    return one, order[is_start][place]
