"""Top k: find the k highest utilities without sorting all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from labelloop.strategies.arrays import as_floats

SAMPLE = 1 << 14
COMPARED_AT_ONCE = 1 << 16
"""Numbers compared at a time: they stay in a cache together with the positions of those that pass."""


def top_k(utilities: npt.ArrayLike, k: int) -> npt.NDArray[np.intp]:
    """Return the positions of the k highest utilities, best first; all of them if k >= n. Ties are broken by position.

    The result equals the first k of a stable full sort. A sample gives a threshold, and only the utilities above it are
    partitioned and sorted. The result is exact for any sample: if too few pass, all are used. Raises ValueError for
    NaN, which has no order.
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
    """Return a threshold that nearly all of the k highest pass, and few others; -inf if a sample would
    not save time.
    """
    step = len(values) // SAMPLE
    if step < 2:
        return -np.inf
    sample = values[::step]
    # Four standard deviations more than the sample's own share, so that too few pass once in ten thousand times.
    share = k / step
    place = int(share + 4 * np.sqrt(share) + 4)
    if place >= len(sample) // 2:
        return -np.inf
    return float(np.partition(sample, len(sample) - place)[len(sample) - place])


def _not_below(values: npt.NDArray[np.floating], threshold: float) -> npt.NDArray[np.intp]:
    """Return the positions at or above the threshold, in order. Raises ValueError for NaN."""
    found = []
    for start in range(0, len(values), COMPARED_AT_ONCE):
        block = values[start : start + COMPARED_AT_ONCE]
        if np.isnan(block.max()):
            raise ValueError(f"utility {start + int(np.isnan(block).argmax())} is not a number")
        found.append(np.flatnonzero(block >= threshold) + start)
    return np.concatenate([np.empty(0, np.intp), *found])
