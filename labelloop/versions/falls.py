"""Falls: detect that a model's accuracy has fallen since it was judged, looking again after every answer.

Each answer is a bet on "accuracy has fallen by so much" against "accuracy is what it was" (Waudby-Smith and Ramdas
2023, doi:10.1093/jrsssb/qkad009), so item scores between 0 and 1 work as well. The wealth of such bets exceeds 1 / c by
chance with a probability of at most c, however often one looks (Ville 1939). What accuracy was is not known either: the
wealth is averaged over its posterior given all answers, which makes it a Bayes factor (Hendriksen, de Heide and
Grünwald 2021, "Optional stopping with Bayes factors", doi:10.1214/20-BA1234). The bound then holds on average over
Jeffreys' prior; `python -m benchmarks.promises.drift` measures it for single accuracies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

CHANCE_OF_A_LOOP = 0.01
"""Probability that a loop ever has a false alarm."""
DROP = 0.05
"""Smallest fall that matters, 0 to 1."""
FALLS = ((0.05, 0.1), (0.1, 0.7), (0.2, 0.1), (0.4, 0.1))
"""Falls that are bet on, 0 to 1, each with its share of the stake. No bet goes below half of the accuracy."""
RESTART = 50
"""Answers after which a new bet starts, since accuracy may fall at any time. Earlier answers tell what it was."""
FIRST_BET = 0.6
"""Share of the stake of the bet that accuracy fell at once; later bets share the rest: 1/2 of it, 1/6, 1/12."""
MOST_RECENT = 2000
"""Largest number of newest answers that are bet on; older ones tell what accuracy was."""
IN_TIME = 1000
"""Largest number of answers after which a fall counts as found."""
MIN_BATCHES = 8
"""Smallest number of requests with several answers from which it is known how alike their answers are."""
SIZES = (0.1, 0.2, 0.3, 0.5)
"""Falls that people are told about, 0 to 1."""
MOST_HELD_OUT = 100_000
"""Largest number of held-out answers that is tried to find how many are enough."""
POWER_Z = 0.84
"""Standard deviations of a normal variable that 80 % of its values exceed, downwards."""
_GRID = np.linspace(0.002, 0.998, 499)


@dataclass(frozen=True, slots=True)
class Scored:
    """One answer, or the answers of one group, on which the model's prediction was scored."""

    stratum: str
    """Answers are compared with those of the same stratum: the same decision of the trigger."""
    item_score: float
    """0 to 1; the mean of a group, since its answers are alike."""
    batch: str = ""
    """Answers that arrived in the same request."""


@dataclass(frozen=True, slots=True)
class Fall:
    """A fall of accuracy beyond chance."""

    before: tuple[float, int]
    """Sum of the item scores and number of answers before it fell."""
    recent: tuple[float, int]
    """The same since then."""


def chance_of(epoch: int, judged: int) -> float:
    """Return the probability of a false alarm that a champion may have.

    All champions of a loop together have CHANCE_OF_A_LOOP, in shares that sum to 1 (Bonferroni): 20 %, 13 %, 10 %, 7 %.
    `epoch`: changes of champion so far. `judged`: versions that were judged until this one was chosen. The best of
    several looks better than it is, so its share is divided by their number.
    """
    return CHANCE_OF_A_LOOP * 4 / ((epoch + 4) * (epoch + 5)) / max(1, judged)


def fall(before: Sequence[Scored], recent: Sequence[Scored], chance: float) -> Fall | None:
    """Return the fall that the `recent` answers show, in the order in which they came; None if it may be chance.

    `before`: the answers that the model was judged on. `chance`: probability of a false alarm, however often and for
    however long this is asked.
    """
    before, recent = [*before, *recent[:-MOST_RECENT]], recent[-MOST_RECENT:]
    if not recent:
        return None
    weight = 1 / design_effect([*before, *recent])
    strata = [one.stratum for one in (*before, *recent)]
    names, of = np.unique(strata, return_inverse=True)
    scores = np.array([one.item_score for one in (*before, *recent)])
    log_bets = _log_bets(scores, of, len(names), len(before), weight)
    if np.logaddexp.reduce(log_bets) < -math.log(chance):
        return None
    began = len(before) + RESTART * int(log_bets.argmax())
    then, now = scores[:began], scores[began:]
    if len(then) and then.mean() - now.mean() < DROP:
        return None
    return Fall((float(then.sum()), len(then)), (float(now.sum()), len(now)))


@dataclass(frozen=True, slots=True)
class Findable:
    """A fall that would be found in about 80 % of cases within a number of answers."""

    points: float
    """The fall, 0 to 1."""
    answers: int


def findable(before: Sequence[Scored], chance: float) -> Findable | None:
    """Return the smallest fall of SIZES that would be found in reasonable time.

    None if `before` has too few answers, or if its accuracy is so low that it cannot fall by so much. `before` and
    `chance` as in `fall`.
    """
    correct, n = math.fsum(one.item_score for one in before), len(before)
    for points in SIZES:
        if (answers := answers_to_find(correct, n, chance, points)) is not None:
            return Findable(points, answers)
    return None


@lru_cache(maxsize=256)
def held_out_needed(accuracy: float, chance: float) -> int | None:
    """Return how many held-out answers at this accuracy let a fall of SIZES be found; None if MOST_HELD_OUT do not.

    `chance` as in `fall`. The number is rounded up to two digits, because it follows one sequence of answers.
    """

    def enough(n: int) -> bool:
        return any(answers_to_find(accuracy * n, n, chance, points) is not None for points in SIZES)

    high = 1
    while not enough(high):
        if high == MOST_HELD_OUT:
            return None
        high = min(2 * high, MOST_HELD_OUT)
    low = high // 2 + 1
    while low < high:
        n = (low + high) // 2
        low, high = (low, n) if enough(n) else (n + 1, high)
    step = int(10 ** max(0, len(str(low)) - 2))
    return -(-low // step) * step


def answers_to_find(correct: float, n: int, chance: float, points: float = 0.1) -> int | None:
    """Return the answers after which a fall by `points` would be found in about 80 % of cases; None if too many.

    `correct`: sum of the item scores of the `n` answers that the model was judged on. The number follows one sequence
    of answers, as lucky as the unlucky fifth of all.
    """
    if n < 1 or correct / n <= points:
        return None
    fallen = correct / n - points
    low, high = 1, IN_TIME + 1
    while low < high:
        m = (low + high) // 2
        mean = min(1.0, fallen + POWER_Z * math.sqrt(fallen * (1 - fallen) / m))
        recent = np.floor(np.arange(1, m + 1) * mean) - np.floor(np.arange(m) * mean)
        scores = np.concatenate([np.full(n, correct / n), recent])
        log_bets = _log_bets(scores, np.zeros(n + m, dtype=np.intp), 1, n, 1.0)
        low, high = (low, m) if np.logaddexp.reduce(log_bets) >= -math.log(chance) else (m + 1, high)
    return low if low <= IN_TIME else None


def design_effect(scored: Sequence[Scored]) -> float:
    """Return how many answers tell as much as one, since answers of one request are alike; at least 1.

    The ratio of the mean squares between and within requests, for requests of the usual size (analysis of variance;
    Kish 1965, "Survey sampling", section 5.4). Answers without a batch count as one each.
    """
    batches = Counter(one.batch for one in scored if one.batch)
    if sum(n > 1 for n in batches.values()) < MIN_BATCHES:
        return 1.0
    values = np.array([one.item_score for one in scored])
    _, strata = np.unique([one.stratum for one in scored], return_inverse=True)
    values -= (np.bincount(strata, weights=values) / np.bincount(strata))[strata]
    _, batch = np.unique([one.batch or f"alone {i}" for i, one in enumerate(scored)], return_inverse=True)
    sizes = np.bincount(batch)
    means: npt.NDArray[np.float64] = np.bincount(batch, weights=values) / sizes
    several = sizes > 1
    within = float(((values - means[batch]) ** 2).sum()) / (len(values) - len(sizes))
    between = float(sizes[several] @ means[several] ** 2) / several.sum()
    usual = float(sizes[several].mean())
    if between <= within:
        return 1.0
    alike = (between - within) / (between + (usual - 1) * within)
    return float(1 + ((sizes**2).sum() / sizes.sum() - 1) * alike)


def _log_bets(
    scores: npt.NDArray[np.float64], strata: npt.NDArray[np.intp], n_strata: int, n_before: int, weight: float
) -> npt.NDArray[np.float64]:
    """Return the logarithm of each bet's wealth times its share of the stake, shape (n_restarts,).

    `scores` and `strata`: item scores and their strata, shape (n,), of which the first `n_before` are not bet on.
    With several strata half of the stake says that accuracy fell in all of them, and half is on each alone.
    """
    place = np.arange(len(scores) - n_before) // RESTART
    restarts = int(place[-1]) + 1
    by_stratum = []
    for stratum in range(n_strata):
        here = strata[n_before:] == stratum
        then = scores[:n_before][strata[:n_before] == stratum]
        by_stratum.append(_log_factors(then, scores[n_before:][here], place[here], restarts, weight))
    joint = np.sum(by_stratum, axis=0)
    if n_strata > 1:
        alone = np.logaddexp.reduce(by_stratum, axis=0) - math.log(n_strata)
        joint = np.logaddexp(joint, alone) - math.log(2)
    later = np.arange(1, restarts)
    shares = np.concatenate([[FIRST_BET], (1 - FIRST_BET) / (later * (later + 1))])
    stakes = np.log([share for _, share in FALLS])
    found: npt.NDArray[np.float64] = np.log(shares) + np.logaddexp.reduce(joint + stakes, axis=1)
    return found


def _log_factors(
    before: npt.NDArray[np.float64],
    recent: npt.NDArray[np.float64],
    place: npt.NDArray[np.intp],
    restarts: int,
    weight: float,
) -> npt.NDArray[np.float64]:
    """Return the log Bayes factors of one stratum, shape (n_restarts, n_falls).

    `place`: the newest restart at each recent answer, shape (n_recent,). `weight`: 1 / design effect of the answers.
    """
    right = weight * (before.sum() + recent.sum()) + 0.5
    wrong = weight * (len(before) + len(recent)) + 1 - right
    posterior = (right - 1) * np.log(_GRID) + (wrong - 1) * np.log1p(-_GRID)
    posterior -= posterior.max()
    posterior -= math.log(np.exp(posterior).sum())
    binary = bool(np.isin(recent, (0.0, 1.0)).all())
    ones = np.bincount(place, weights=recent, minlength=restarts).astype(np.float64)[:, None]
    zeros = np.bincount(place, weights=1 - recent, minlength=restarts).astype(np.float64)[:, None]
    factors = np.empty((restarts, len(FALLS)))
    for column, (points, _) in enumerate(FALLS):
        fallen = np.maximum(_GRID - points, _GRID / 2)
        if binary:
            wealth = ones * np.log(fallen / _GRID) + zeros * np.log((1 - fallen) / (1 - _GRID))
        else:
            wealth = np.zeros((restarts, len(_GRID)))
            bet = (fallen - _GRID) / (_GRID * (1 - _GRID))
            np.add.at(wealth, place, np.log1p(bet * (recent[:, None] - _GRID)))
        logs = posterior + weight * wealth[::-1].cumsum(axis=0)[::-1]
        most = logs.max(axis=1)
        factors[:, column] = most + np.log(np.exp(logs - most[:, None]).sum(axis=1))
    return factors
