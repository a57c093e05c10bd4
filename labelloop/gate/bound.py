"""The joint test: all challengers of a champion are tested together, so that luck promotes an equal one at most rarely.

Challengers that are judged on the same answers make similar errors, so their tests are much less than independent. If
neither model were better, each held-out answer would favour either one with the same chance, whatever the other answers
do. So the signs of all differences of an item are flipped together (Westfall & Young 1993, Resampling-based multiple
testing, ch. 2). Each verdict has a part of alpha that is fixed in advance (Lan & DeMets 1983,
doi:10.1093/biomet/70.3.659).
"""

from __future__ import annotations

import numpy as np

from labelloop.gate.paired import Floats, coins

HORIZON = 100
"""Number of verdicts against one champion for which alpha lasts."""
FLIPS = 100_000
"""Number of random sign flips; fewer if there are very many answers."""
SIGNS = 100_000_000
"""Largest number of random signs, unless FEWEST_FLIPS needs more: about two seconds of work."""
FEWEST_FLIPS = 20_000
SIGNS_AT_A_TIME = 2_000_000


def spent(alpha: float, verdicts: int) -> float:
    """Return the part of alpha that the first `verdicts` verdicts against one champion may use up together.

    With the cube root the first verdict has a fifth of alpha, and the fiftieth still has a tenth of a percent of it
    for itself.
    """
    return float(alpha * (min(verdicts, HORIZON) / HORIZON) ** (1 / 3))


def joint_alphas(differences: Floats, alpha: float, rng: np.random.Generator, flips: int = FLIPS) -> list[float]:
    """Return the level at which each verdict is tested, 0 to 1, so that all of them together stay within alpha.

    `differences`: shape (verdicts, items), challenger - incumbent in each verdict, oldest first; 0 where a verdict did
    not have the item. A level is 0 if alpha is used up. No verdict promoted anything, or the incumbent would be another
    one.
    """
    told = differences[:, (differences != 0).any(axis=0)]
    sums = _sums_by_chance(told[:, np.lexsort(told)], rng, flips) if len(differences) > 1 else np.zeros((1, 1))
    passed = np.zeros(len(sums), dtype=bool)
    alphas = [spent(alpha, 1)]
    for i, each in enumerate(sums.T):
        left = int(spent(alpha, i + 1) * len(passed)) - int(passed.sum())
        limit = _limit(each[~passed], left)
        if i:
            alphas.append(_between(each, limit))
        passed |= each >= limit - 1e-5
    return alphas


def _between(sums: Floats, limit: float) -> float:
    """Return a level between that of `limit` and the next possible one, so that a random error of either does not
    decide.
    """
    if not np.isfinite(limit):
        return 0.0
    below = sums[sums < limit - 1e-5]
    next_one = below.max() if len(below) else limit
    return float((sums >= limit - 1e-5).mean() + (sums >= next_one - 1e-5).mean()) / 2


def _sums_by_chance(told: Floats, rng: np.random.Generator, flips: int) -> Floats:
    """Return the standardized sums of the differences with random signs; shape (flips, verdicts)."""
    norms = np.sqrt((told**2).sum(axis=1, keepdims=True))
    scaled = (told / np.where(norms > 0, norms, 1.0)).astype(np.float32).T
    items = max(1, len(scaled))
    flips = min(flips, max(FEWEST_FLIPS, SIGNS // items))
    piece = max(1, SIGNS_AT_A_TIME // items)
    found = []
    for start in range(0, flips, piece):
        rows = min(piece, flips - start)
        signs = coins(rows, items, rng).astype(np.float32) * 2 - 1
        found.append(signs[:, : len(scaled)] @ scaled)
    return np.concatenate(found).astype(float)


def _limit(sums: Floats, most: int) -> float:
    """Return the smallest sum that at most `most` of them reach; infinite if none does."""
    if most < 1 or not len(sums):
        return float("inf")
    if most >= len(sums):
        return float(sums.min())
    falling = -np.sort(-sums)
    limit = falling[most - 1]
    if falling[most] >= limit - 1e-5:  # equal sums pass together or not at all
        larger = falling[falling > limit + 1e-5]
        limit = larger[-1] if len(larger) else np.inf
    return float(limit)
