"""Masks: which pixels of an image belong to a region, as lengths of runs. Pure.

The pixels are read row by row. The runs alternate between background and region, the background first: [2,3,4] is two
pixels of background, three of the region, and four of background. Only the first run may be 0.

In between, a mask is its bounds: the places where the region begins and ends, in turn, as an array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labelloop.labeling.geometry.outlines import Outline, crossings

MOST_PIXELS = 1 << 28
"""Largest number of pixels of a mask: more fit into no canvas of a browser."""
MOST_RUNS = 500_000
Bounds = npt.NDArray[np.int64]


class Mask(NamedTuple):
    """A mask of an image with this many pixels."""

    width: int
    height: int
    bounds: Bounds
    """The first pixel of each piece of the region, and the first one after it, in turn. Strictly rising."""


def of_runs(width: int, height: int, runs: Sequence[int]) -> Mask:
    """Read the runs of a mask. Raises ValueError if they are not those of an image of this size."""
    if not all(type(n) is int and 0 < n <= MOST_PIXELS for n in (width, height)) or width * height > MOST_PIXELS:
        raise ValueError(f"a mask is of 1 to {MOST_PIXELS} pixels; it is {width} x {height}")
    if not all(type(run) is int and run >= 0 for run in runs):
        raise ValueError("the runs of a mask are numbers of pixels, such as [width, height, [2, 3, 4]]")
    if (total := sum(runs)) != width * height:
        raise ValueError(
            f"a mask of {width} x {height} has {width * height} pixels; its runs have {total}: it is one of an image "
            "of another size"
        )
    return of_changes(width, height, np.cumsum(np.array(runs, dtype=np.int64)))


def of_changes(width: int, height: int, places: npt.NDArray[np.int64]) -> Mask:
    """Return the mask that changes between background and region at these places, in any order.

    Two changes at one place cancel each other. Raises ValueError if there are more than MOST_RUNS.
    """
    found, counts = np.unique(places, return_counts=True)
    found = found[counts % 2 == 1]
    total = width * height
    found = found[found < total]
    if len(found) % 2:
        found = np.append(found, total)
    if len(found) > MOST_RUNS:
        raise ValueError(f"the mask has {len(found)} runs; at most {MOST_RUNS} are kept: smooth its edges")
    return Mask(width, height, found.astype(np.int64))


def runs_of(mask: Mask) -> list[int]:
    """Return the runs: they sum to the number of pixels, and only the first may be 0."""
    edges = np.concatenate([[0], mask.bounds, [mask.width * mask.height]])
    runs = np.diff(edges)
    return [int(run) for run in (runs if len(runs) == 1 or runs[-1] else runs[:-1])]


def pixels_of(mask: Mask) -> int:
    """Return the number of pixels that belong to the region."""
    return int((mask.bounds[1::2] - mask.bounds[::2]).sum())


def box_of(mask: Mask) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of the region in percent of the image; zeros if it is empty."""
    if not len(mask.bounds):
        return 0.0, 0.0, 0.0, 0.0
    first, last = mask.bounds[::2], mask.bounds[1::2] - 1
    rows = first // mask.width, last // mask.width
    whole = rows[0] != rows[1]  # such a run reaches the end of a row and the beginning of the next
    left = np.where(whole, 0, first % mask.width).min()
    right = np.where(whole, mask.width - 1, last % mask.width).max() + 1
    across, down = 100 / mask.width, 100 / mask.height
    return (
        float(left * across),
        float(rows[0].min() * down),
        float(right * across),
        float((rows[1].max() + 1) * down),
    )


def overlap(one: Mask, other: Mask) -> float:
    """Return the intersection over union of two masks; 0 if both are empty.

    A mask of another size is first sampled at the pixels of the larger one.
    """
    if (one.width, one.height) != (other.width, other.height):
        large, small = sorted((one, other), key=lambda mask: mask.width * mask.height, reverse=True)
        one, other = large, resized(small, large.width, large.height)
    lengths, counts = _counted([one, other])
    union = int(lengths[counts >= 1].sum())
    return float(lengths[counts == 2].sum() / union) if union else 0.0


def majority(masks: Sequence[Mask]) -> Mask:
    """Return the pixels that belong to more than half of the masks, which have one size."""
    places = np.concatenate([mask.bounds for mask in masks])
    steps = np.concatenate([np.resize([1, -1], len(mask.bounds)) for mask in masks])
    order = np.argsort(places, kind="stable")
    inside = 2 * np.cumsum(steps[order]) > len(masks)
    changes = places[order][np.diff(inside, prepend=False)]
    return of_changes(masks[0].width, masks[0].height, changes)


def _counted(masks: Sequence[Mask]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the lengths between any two bounds, and how many masks have the pixels between them."""
    places = np.concatenate([mask.bounds for mask in masks])
    steps = np.concatenate([np.resize([1, -1], len(mask.bounds)) for mask in masks])
    order = np.argsort(places, kind="stable")
    return np.diff(places[order]), np.cumsum(steps[order])[:-1]


def resized(mask: Mask, width: int, height: int) -> Mask:
    """Return the mask at another size: each pixel is the one that its centre falls into."""
    pixels = array_of(mask)
    rows = ((np.arange(height) + 0.5) * mask.height / height).astype(int)
    columns = ((np.arange(width) + 0.5) * mask.width / width).astype(int)
    return of_array(pixels[np.ix_(rows, columns)])


def array_of(mask: Mask) -> npt.NDArray[np.bool_]:
    """Return the mask as an array. Shape (height, width), True for the pixels of the region."""
    changes = np.zeros(mask.width * mask.height + 1, dtype=np.int8)
    changes[mask.bounds[::2]] += 1
    changes[mask.bounds[1::2]] -= 1
    return np.asarray(np.cumsum(changes[:-1], dtype=np.int8).reshape(mask.height, mask.width) > 0)


def of_array(pixels: npt.NDArray[np.bool_]) -> Mask:
    """Return the mask of an array of shape (height, width), True for the pixels of the region."""
    flat = np.concatenate([[False], pixels.ravel(), [False]])
    return of_changes(pixels.shape[1], pixels.shape[0], np.flatnonzero(flat[1:] != flat[:-1]))


def of_outline(outline: Outline, width: int, height: int) -> Mask:
    """Return the pixels whose centres are inside an outline (in percent of the image)."""
    rows, found = crossings(outline, (np.arange(height) + 0.5) * 100 / height)
    columns = np.clip(np.ceil(found * width / 100 - 0.5), 0, width).astype(np.int64)
    return of_changes(width, height, columns + rows * width)
