"""Power: the smallest gain that the gate can detect with a given number of held-out answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from labelloop.gate.loss import expected_loss

Ints = npt.NDArray[np.int64]
PRECISION = 1e-4
"""Precision of a gain, 0 to 1: a hundredth of a percentage point."""


Needed = Callable[[Ints], Ints]
"""Takes numbers of discordant items. Returns for each the number of them on which the challenger must be the better
model for the gate to promote it."""


def by_test(alpha: float) -> Needed:
    """Return what the one-sided exact McNemar test at `alpha` needs."""

    def needed(discordant: Ints) -> Ints:
        from scipy.stats import binom  # 70 MB, which the services do not need

        return np.asarray(binom.isf(alpha, discordant, 0.5) + 1, dtype=np.int64)

    return needed


def by_loss(n: int, largest: float) -> Needed:
    """Return what the rule of the expected loss needs on `n` items, at most `largest` lost by a promotion."""

    def needed(discordant: Ints) -> Ints:
        low, high = discordant // 2 + 1, discordant + 1  # it must be ahead
        while (low < high).any():
            middle = (low + high) // 2
            passes = expected_loss(middle, discordant - middle, n) <= largest
            low, high = np.where(passes, low, np.minimum(middle + 1, high)), np.where(passes, middle, high)
        return low

    return needed


def chance_to_see(n: int, needed: Needed, discordant: float, gain: float) -> float:
    """Return the probability that the gate promotes on `n` items what is better by `gain`; exact, unconditional.

    `discordant` is the share of items on which exactly one of the two models is correct, at least `gain`. `gain` is the
    challenger's accuracy minus the incumbent's, 0 to 1. Duffy 1984, "Asymptotic and exact power for the McNemar test",
    Biometrics 40:1005: the power for each number of discordant items, weighted by that number's probability.
    """
    if discordant <= 0:
        return 0.0
    from scipy.stats import binom

    # Numbers outside of this range have a probability below 1e-9.
    low, high = binom.ppf([1e-9, 1 - 1e-9], n, discordant)
    pairs = np.arange(int(low), int(high) + 1)
    seen = binom.sf(needed(pairs) - 1, pairs, (discordant + gain) / (2 * discordant))
    return float(binom.pmf(pairs, n, discordant) @ seen)


def detectable_gain(n: int, needed: Needed, discordant: float, power: float = 0.8) -> float | None:
    """Return the smallest gain that the gate promotes with a probability of `power` on `n` held-out answers.

    Returns None if it would not even promote for a gain of 1. `discordant` is the measured or expected share of items
    on which exactly one of the two models is correct. It counts as at least the gain. Raises ValueError for shares
    outside of 0 to 1.
    """
    for name, share in (("discordant", discordant), ("power", power)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} is a share, 0 to 1; it is {share!r}")

    def seen(gain: float) -> bool:
        return chance_to_see(n, needed, max(discordant, gain), gain) >= power

    if n < 1 or not seen(1.0):
        return None
    low, high = 0.0, 1.0
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high
