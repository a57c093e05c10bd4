"""The best of many: the k highest utilities without sorting all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from labelloop.strategies.arrays import as_floats

SAMPLE = 1 << 14
BLOCK = 1 << 16
"""Numbers that are compared at a time: they stay in a cache, and so do the places of those that pass."""


def top_k(utilities: npt.ArrayLike, k: int) -> npt.NDArray[np.intp]:
    """Positions of the k highest, best first, ties by position: the first k of a stable full sort; all where k >= n.

    A sample says what is certainly not among them, and only the rest is partitioned and sorted. Exact whatever the
    sample says: when too few pass, all do. Refuses NaN, which has no order.
    """
    values = as_floats(utilities)
    if values.ndim != 1:
        raise ValueError(f"utilities must have the shape (n_samples,); they have {values.shape}")
    if k < 0:
        raise ValueError(f"k must not be negative; it is {k}")
    k = min(k, len(values))
    passed = _not_below(values, _threshold(values, k))
    if len(passed) < k:
        passed = np.arange(len(values))
    if k == 0:
        return passed[:0]
    rest = values[passed]
    kth = np.partition(rest, len(rest) - k)[len(rest) - k]
    above, level = passed[rest > kth], passed[rest == kth]
    chosen = np.concatenate([above, level[: k - len(above)]])
    return chosen[np.argsort(-values[chosen], kind="stable")]


def _threshold(values: npt.NDArray[np.floating], k: int) -> float:
    """Hardly any of the k highest lies below it, and not much else above; -inf where a sample saves nothing."""
    step = len(values) // SAMPLE
    if step < 2:
        return -np.inf
    sample = values[::step]
    # Four deviations more than the sample's own share, so that too few pass once in ten thousand times.
    share = k / step
    place = int(share + 4 * np.sqrt(share) + 4)
    if place >= len(sample) // 2:
        return -np.inf
    return float(np.partition(sample, len(sample) - place)[len(sample) - place])


def _not_below(values: npt.NDArray[np.floating], threshold: float) -> npt.NDArray[np.intp]:
    """Positions, in order. Refuses NaN."""
    found = []
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        if np.isnan(block.max()):
            raise ValueError(f"utility {start + int(np.isnan(block).argmax())} is not a number")
        found.append(np.flatnonzero(block >= threshold) + start)
    return np.concatenate([np.empty(0, np.intp), *found])
