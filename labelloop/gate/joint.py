"""Joint test: which of many overlapping slices got worse, with one error rate for all of them together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from labelloop.gate.paired import FEWER, Floats, coins, is_whole

FLIPS_AT_A_TIME = 1_000
"""Random sign flips in one matrix product, which keeps the arrays small."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Joint:
    """Result for all slices, arrays of shape (n_slices,)."""

    p_worse: Floats
    """p-values of a loss, adjusted so that the chance of any error among the slices is the level of one test."""
    z: Floats
    """Width of each interval in standard errors, so that all intervals hold at once with probability 1 - alpha."""


def joint(
    differences: Floats, members: npt.NDArray[np.bool_], shares: Floats, alpha: float, rng: np.random.Generator
) -> Joint:
    """Test each slice for being worse, by flipping the signs of all items' differences together.

    The flips keep what slices have in common, so that overlapping slices do not pay twice, and a slice with too few
    different items to show anything pays nothing (step-down min-P, Westfall & Young 1993, Resampling-Based Multiple
    Testing, ch. 2; Tarone 1990, doi:10.2307/2531456). Within a slice the evidence is the exact McNemar p-value if all
    items are correct or incorrect, else the normal tail of the standardised sum. `shares` divides alpha between the
    slices and sums to 1: a p-value counts relative to its share (Westfall, Kropf & Finos 2004,
    doi:10.1214/lnms/1196285634).

    `differences`: challenger minus incumbent, shape (n,), -1 to 1. `members`: shape (n_slices, n). The order of the
    items does not matter.
    """
    from scipy.special import ndtr, ndtri  # 70 MB, which the services do not need

    told = differences != 0
    if not told.any():
        return Joint(np.ones(len(shares)), -ndtri(alpha * shares / 2))
    keys = np.vstack([members[:, told], differences[told]])
    order = np.lexsort(keys)
    sizes = np.abs(differences[told][order])
    parts = (members[:, told][:, order] * sizes).astype(np.float32)
    seen = parts @ (differences[told][order] < 0).astype(np.float32)
    total, spread = parts.sum(axis=1), np.sqrt(np.maximum((parts**2).sum(axis=1), _TINY))
    exact = _tails(total.astype(int)) if is_whole(sizes) else None

    def evidence(lost: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Return the p-values of a loss and of any difference, relative to the shares; `lost`: sums of the losses."""
        scaled = (2 * lost - total) / spread
        p = ndtr(-scaled) if exact is None else exact[np.arange(len(shares)), lost.astype(int)]
        return p / shares, 2 * ndtr(-np.abs(scaled)) / shares

    seen_p = evidence(seen)[0]
    ranked = np.argsort(seen_p, kind="stable")
    as_small, smallest = np.zeros(len(shares)), []
    for _ in range(0, FEWER, FLIPS_AT_A_TIME):
        p, two_sided = evidence(coins(FLIPS_AT_A_TIME, len(sizes), rng).astype(np.float32) @ parts.T)
        least = np.minimum.accumulate(p[:, ranked[::-1]], axis=1)[:, ::-1]
        as_small += (least <= seen_p[ranked] * (1 + _TINY)).sum(axis=0)
        smallest.append(two_sided.min(axis=1))
    p_worse = np.empty(len(shares))
    p_worse[ranked] = np.maximum.accumulate((1 + as_small) / (1 + FEWER))
    widest = np.clip(_level(np.concatenate(smallest), alpha) * shares, alpha * shares, alpha)
    return Joint(p_worse, -ndtri(widest / 2))


def tango(n: Floats, better: Floats, worse: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Return intervals of gains that a score test does not reject (Tango 1998, Statistics in Medicine 17:891).

    `better` and `worse`: sums of the positive and of the negative differences, both at least 0. For item scores that
    are correct in part the interval is conservative, because their variance is smaller. All arrays have the same shape.
    """
    seen = (better - worse) / n

    def distance(gain: Floats) -> Floats:
        b = (2 * n - better + worse) * gain - better - worse
        worse_share = (np.sqrt(np.maximum(0.0, b * b + 8 * n * worse * gain * (1 - gain))) - b) / (4 * n)
        spread = n * (2 * worse_share + gain * (1 - gain))
        far: Floats = (better - worse - n * gain) / np.sqrt(np.maximum(spread, _TINY))
        return far

    ends = []
    for side in (-1.0, 1.0):
        inside, outside = seen.copy(), np.full_like(seen, side)
        for _ in range(40):
            middle = (inside + outside) / 2
            holds = -side * distance(middle) <= z
            inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def _tails(pairs: npt.NDArray[np.int_]) -> Floats:
    """Return P(at least k of `pairs` coins are heads) for each slice and k, shape (n_slices, most pairs + 1)."""
    from scipy.stats import binom

    counts, which = np.unique(pairs, return_inverse=True)
    tails: Floats = binom.sf(np.arange(counts.max() + 1) - 1, counts[:, None], 0.5)[which]
    return tails


def _level(smallest: Floats, alpha: float) -> float:
    """Return the largest level that at most `alpha` of the smallest p-values are below."""
    allowed = max(0, int(alpha * (1 + len(smallest))) - 1)
    # A little smaller, so that an interval which just holds 0 does not lose it by rounding.
    return float(np.sort(smallest)[allowed]) * (1 - 1e-4)
