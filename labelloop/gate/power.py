"""Power: the smallest gain that the gate can detect with a given number of held-out answers."""

from __future__ import annotations

import numpy as np

PRECISION = 1e-4
"""Precision of a gain, 0 to 1: a hundredth of a percentage point."""


def chance_to_see(n: int, alpha: float, discordant: float, gain: float) -> float:
    """Return the probability that the one-sided exact McNemar test on `n` items is at or below `alpha`; exact,
    unconditional.

    `discordant` is the share of items on which exactly one of the two models is correct, at least `gain`. `gain` is the
    challenger's accuracy minus the incumbent's, 0 to 1. Duffy 1984, "Asymptotic and exact power for the McNemar test",
    Biometrics 40:1005: the test's power for each number of discordant items, weighted by that number's probability.
    """
    if discordant <= 0:
        return 0.0
    from scipy.stats import binom  # 70 MB, which the services do not need

    # Numbers outside of this range have a probability below 1e-9.
    low, high = binom.ppf([1e-9, 1 - 1e-9], n, discordant)
    pairs = np.arange(int(low), int(high) + 1)
    needed = binom.isf(alpha, pairs, 0.5) + 1
    seen = binom.sf(needed - 1, pairs, (discordant + gain) / (2 * discordant))
    return float(binom.pmf(pairs, n, discordant) @ seen)


def detectable_gain(n: int, alpha: float, discordant: float, power: float = 0.8) -> float | None:
    """Return the smallest gain that the gate detects with a probability of `power` on `n` held-out answers.

    Returns None if it would not even detect a gain of 1. `discordant` is the measured or expected share of items on
    which exactly one of the two models is correct. It counts as at least the gain. Raises ValueError for shares outside
    of 0 to 1.
    """
    for name, share in (("alpha", alpha), ("discordant", discordant), ("power", power)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share, 0 to 1; it is {share!r}")

    def seen(gain: float) -> bool:
        return chance_to_see(n, alpha, max(discordant, gain), gain) >= power

    if n < 1 or not seen(1.0):
        return None
    low, high = 0.0, 1.0
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high
