"""Power: the smallest gain that the gate can detect with a given number of held-out answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from labelloop.gate.loss import expected_loss

Ints = npt.NDArray[np.int64]
PRECISION = 1e-4
"""Precision of a gain, 0 to 1: a hundredth of a percentage point."""
Z_POWER = 0.8416212335729143
"""Value that a standard normal variable stays below with a probability of 80 %."""


MOST_MISSING = 10_000
"""Largest number of missing answers that a verdict names."""

Needed = Callable[[Ints], Ints]
"""Takes numbers of discordant items. Returns for each the number of them on which the challenger must be the better
model for the gate to promote it."""


def by_test(alpha: float) -> Needed:
    """Return what the one-sided exact McNemar test at `alpha` needs."""

    return lambda discordant: _needed(1 << int(discordant.max(initial=0)).bit_length(), alpha)[discordant]


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


def by_gain(n: int, least: float, needed: Needed) -> Needed:
    """Return what a rule that needs `needed` needs if the gain on the `n` items must also be at least `least`."""

    def both(discordant: Ints) -> Ints:
        ahead = np.ceil((discordant + n * least) / 2 - 1e-9).astype(np.int64)
        return np.maximum(needed(discordant), ahead)

    return both


def chance_to_see(n: int, needed: Needed, discordant: float, gain: float) -> float:
    """Return the probability that the gate promotes on `n` items what is better by `gain`; exact, unconditional.

    `discordant` is the share of items on which exactly one of the two models is correct, at least `gain`. `gain` is the
    challenger's accuracy minus the incumbent's, 0 to 1. Duffy 1984, "Asymptotic and exact power for the McNemar test",
    Biometrics 40:1005: the power for each number of discordant items, weighted by that number's probability.
    """
    if discordant <= 0:
        return 0.0
    from scipy.special import bdtrc, gammaln, xlog1py, xlogy  # 70 MB, which the services do not need

    # Numbers outside of this range have a probability below 1e-9.
    middle, around = n * discordant, 10 + 6.2 * np.sqrt(n * discordant * (1 - discordant))
    pairs = np.arange(max(0, int(middle - around)), min(n, int(middle + around) + 1) + 1)
    log_ways = gammaln(n + 1) - gammaln(pairs + 1) - gammaln(n - pairs + 1)
    weights = np.exp(log_ways + xlogy(pairs, discordant) + xlog1py(n - pairs, -discordant))
    least = needed(pairs)
    seen = bdtrc(least - 1.0, pairs, (discordant + gain) / (2 * discordant))
    return float(weights @ np.where(least > pairs, 0.0, seen))


def more_answers(better: float, worse: float, n: int, largest: float) -> int | None:
    """Return how many more held-out answers of the same kind the rule of the expected loss needs for a promotion.

    `better` and `worse` are the sums of the gains and of the losses in item score on `n` answers. Returns 0 if none are
    needed, and None if MOST_MISSING are not enough.
    """
    low, high = n - 1, n + MOST_MISSING
    while high - low > 1:
        middle = (low + high) // 2
        times = middle / n
        passes = expected_loss(better * times, worse * times, middle) <= largest
        low, high = (low, middle) if passes else (middle, high)
    return None if high == n + MOST_MISSING else high - n


@lru_cache(maxsize=256)
def _needed(n: int, alpha: float) -> Ints:
    """Return for 0 to n discordant items how many the better model needs for a p-value of at most `alpha`."""
    from scipy.special import bdtrc, bdtrik

    pairs = np.arange(n + 1)
    if alpha <= 0:
        return pairs + 1
    needed = np.ceil(np.nan_to_num(bdtrik(1 - alpha, np.maximum(pairs, 1), 0.5))).astype(int) + 1
    for step in (-1, -1, 1, 1, 1):  # the inverse is exact but for rounding
        wanted = bdtrc(needed - 1.0 + min(step, 0), pairs, 0.5) <= alpha * (1 + 1e-12)
        needed = needed + step * (wanted if step < 0 else ~wanted)
    return np.where(pairs == 0, 1, needed)


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


@lru_cache(maxsize=4096)
def detectable_loss(n: int, alpha: float, cancelling: float, floor: float = 0.0) -> float | None:
    """Return the smallest loss that a slice of `n` answers shows with a probability of 80 %, to half a point.

    `alpha` is the level of the slice's test. `cancelling` is the share of items on which exactly one model is correct
    although neither model is better; the loss is added to it. The loss seen must also be larger than `floor`. Returns
    None if no loss would be shown so often.
    """
    losses = np.arange(0.005, 1.0 + 1e-9, 0.005)
    low, high = 0, len(losses)
    while low < high:
        middle = (low + high) // 2
        loss = float(losses[middle])
        discordant = min(1.0, cancelling + loss)
        clear = loss - floor >= Z_POWER * ((discordant - loss**2) / n) ** 0.5
        shown = clear and chance_to_see(n, by_test(alpha), discordant, loss) >= 0.8
        low, high = (low, middle) if shown else (middle + 1, high)
    return float(losses[low]) if low < len(losses) else None
