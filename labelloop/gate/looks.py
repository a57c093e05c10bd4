"""Looks: test one threshold again and again while answers come in, and be wrong at most as rarely as promised. Pure.

If a test is repeated after each answer, it succeeds by luck sooner or later. So there are looks at fixed numbers of
answers only (SIZES), and the chance of error is spent over them as fixed in advance (Lan and DeMets 1983,
doi:10.1093/biomet/70.3.659). The looks of one threshold share their answers. So the boundaries come from the exact
distribution of the number of incorrect answers, and not from a sum over looks (Jennison and Turnbull 1999, "Group
sequential methods", chapter 12).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
MAIN = 1000
"""Number of answers around which most of the chance of error is spent."""
UP_TO_MAIN = 0.9
"""Share of the chance of error that is spent up to MAIN answers; the later looks share the rest."""
GROWTH = 1.5
"""Each look has this many times the answers of the one before it."""
SIZES = tuple(round(MAIN * GROWTH**i) for i in range(-7, 15))
"""Numbers of answers at which there is a look: 59, 88, 132, ..., 1,000, 1,500, ... 291,929."""


def spent(answers: int) -> float:
    """Return the share of the chance of error, 0 to 1, that all looks up to this number of answers may use together.

    Early looks get little, so that they cost the later ones little: 1 % up to 100 answers, 22 % up to 500.
    """
    if answers <= MAIN:
        return UP_TO_MAIN * (max(answers, 0) / MAIN) ** 2
    return 1.0 - (1.0 - UP_TO_MAIN) * math.sqrt(MAIN / answers)


def of_model(order: int) -> float:
    """Return the share of the loop's chance of error that its model number `order` (1, 2, ...) gets.

    The shares of all models, however many there will be, sum to 1: 6 / (pi x order)^2.
    """
    return float(6.0 / (math.pi * order) ** 2)


def boundaries(answers: Sequence[float], share: Sequence[float], error: float, alpha: float) -> list[int]:
    """Return for each look the largest number of incorrect answers at which a threshold is certified; -1 for none.

    `answers`: number of independent answers above the threshold at each look, not falling; fractions are cut off.
    `share`: of `alpha`, that may be spent up to each look. If the true error rate is `error` or more, the number of
    incorrect answers is at or below one of the boundaries with a probability of at most `alpha`.
    """
    sizes = [int(n) for n in answers]
    most = int(error * sizes[-1]) + 1 if sizes else 0  # a boundary is below the expected number
    alive = np.zeros(most + 1)
    alive[0] = 1.0
    crossed, before, limits = 0.0, 0, list[int]()
    for n, part in zip(sizes, share, strict=True):
        if n > before:
            alive = np.convolve(alive, binomial(n - before, error, most))[: most + 1]
            before = n
        left = alpha * part - crossed
        sums = np.cumsum(alive)
        limit = int(np.searchsorted(sums, left, side="right")) - 1
        if limit >= 0:
            crossed += float(sums[limit])
            alive[: limit + 1] = 0.0
        limits.append(limit)
    # Where nothing was added, a boundary may have been used up by the look before; it still holds.
    for i in range(1, len(limits)):
        if sizes[i] == sizes[i - 1]:
            limits[i] = max(limits[i], limits[i - 1])
    return limits


def binomial(n: int, p: float, most: int) -> Floats:
    """Return the probabilities of 0, 1, ..., `most` events in `n` trials with probability `p`, 0 < p < 1."""
    i = np.arange(1, min(n, most) + 1)
    steps = np.log((n - i + 1) / i * (p / (1.0 - p)))
    logs = n * np.log1p(-p) + np.concatenate(([0.0], np.cumsum(steps)))
    return np.concatenate((np.exp(logs), np.zeros(max(0, most - n))))
