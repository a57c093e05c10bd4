"""Outlines: the areas of two closed outlines, and of what they share. Pure.

An outline is an array of corners, shape (n, 2), closed from the last to the first. It may cross itself: a point is
inside if a ray from it crosses the outline an odd number of times (the even-odd rule). Areas are in the square of the
coordinates' unit.

The method cuts both outlines into horizontal bands at every corner and every crossing. Within a band no two edges
cross, so its area is its height times the length inside at its middle: this is exact. Outlines with more than
MOST_EXACT corners together are measured on LINES lines instead, with an error of about 1 / LINES of their height.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Outline = npt.NDArray[np.float64]
MOST_EXACT = 500
LINES = 2_000
_CELLS = 4_000_000
"""Largest number of line-edge pairs that are worked on at a time."""
NOWHERE = 1e9
"""Coordinate that stands for no crossing; all others are smaller."""


class Areas(NamedTuple):
    """Areas of two outlines, and of the part that they share."""

    one: float
    other: float
    both: float


def areas(one: Outline, other: Outline) -> Areas:
    """Return the areas of both outlines, and of what they share."""
    edges = [_edges(one), _edges(other)]
    heights, middles = _bands(np.concatenate(edges))
    total = np.zeros(3)
    step = max(1, _CELLS // max(1, sum(map(len, edges))))
    for first in range(0, len(middles), step):
        total += _lengths(edges, middles[first : first + step]) @ heights[first : first + step]
    return Areas(*map(float, total))


def area(outline: Outline) -> float:
    """Return the area of one outline. It is kept for the next call, as each region is compared with many others."""
    return _area(outline.tobytes())


@lru_cache(maxsize=10_000)
def _area(content: bytes) -> float:
    outline = np.frombuffer(content).reshape(-1, 2)
    return areas(outline, outline[:1]).one


def crossings(outline: Outline, heights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return where the outline crosses each height, from left to right; NOWHERE fills up the row.

    Shape (n_heights, n_corners). The first and second crossing of a row bound the first piece that is inside, the third
    and fourth the second, and so on.
    """
    return np.sort(_crossings(_edges(outline), heights), axis=1)


def _edges(outline: Outline) -> npt.NDArray[np.float64]:
    """Return the edges as rows x1, y1, x2, y2, without the horizontal ones."""
    edges = np.concatenate([outline, np.roll(outline, -1, axis=0)], axis=1)
    return np.asarray(edges[edges[:, 1] != edges[:, 3]])


def _crossings(edges: npt.NDArray[np.float64], heights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x1, y1, x2, y2 = edges.T
    y = heights[:, None]
    there = (np.minimum(y1, y2) <= y) & (y < np.maximum(y1, y2))
    return np.where(there, x1 + (y - y1) / (y2 - y1) * (x2 - x1), NOWHERE)


def _bands(edges: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the height of each band and the place of its middle."""
    if not len(edges):
        return np.zeros(0), np.zeros(0)
    ends = edges[:, [1, 3]].ravel()
    if len(edges) <= MOST_EXACT:
        cuts = np.unique(np.concatenate([ends, _meetings(edges)]))
    else:
        cuts = np.linspace(ends.min(), ends.max(), LINES + 1)
    return np.diff(cuts), (cuts[1:] + cuts[:-1]) / 2


def _meetings(edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the heights at which two edges cross."""
    start, way = edges[:, :2], edges[:, 2:] - edges[:, :2]
    between = start[None] - start[:, None]
    turn = way[:, None, 0] * way[None, :, 1] - way[:, None, 1] * way[None, :, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        along = (between[..., 0] * way[None, :, 1] - between[..., 1] * way[None, :, 0]) / turn
    inside = (along > 0) & (along < 1) & (along.T > 0) & (along.T < 1)
    return np.asarray((start[:, None, 1] + along * way[:, None, 1])[inside])


def _lengths(edges: list[npt.NDArray[np.float64]], middles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the length inside the first, the second and both outlines at each height. Shape (3, n_heights)."""
    places = np.concatenate([_crossings(some, middles) for some in edges], axis=1)
    order = np.argsort(places, axis=1, kind="stable")
    widths = np.diff(np.take_along_axis(places, order, axis=1), axis=1)
    first = order < len(edges[0])
    one, other = (np.cumsum(flips, axis=1)[:, :-1] % 2 == 1 for flips in (first, ~first))
    return np.array([(widths * inside).sum(axis=1) for inside in (one, other, one & other)])
