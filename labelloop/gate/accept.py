"""Accept: find the confidence from which outputs may pass unseen, so that a promise about their errors holds. Pure.

Learn-then-test with fixed-sequence testing (Angelopoulos, Bates, Candes, Jordan and Lei 2025,
doi:10.1214/24-AOAS1998): a row of thresholds is fixed without a look at any answer, from cautious to bold. Each one is
tested only if those before it were certified, and so one level is enough for all of them. Each threshold is tested at
the looks of labelloop/gate/looks.py.

The answers must be a fair sample of the outputs that could pass unseen: those that chance chose and that the trigger
does not send. Answers of one group are alike. Their number is divided by the design effect, so that a group of ten
alike answers counts as little more than one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from labelloop.gate.looks import SIZES, Floats, binomial, boundaries, spent
from labelloop.selection import design_effect

STEP = 0.02
"""Share of the outputs between two thresholds of the row."""
CAUTIOUS = 0.2
"""Share of the outputs above the most cautious threshold that the row may begin with."""
PLANNED = 296
"""Number of answers for which the beginning of the row is chosen."""
NEARLY = 0.05
"""The row begins at the most cautious threshold whose chance of success is within this much of the best one."""
DOUBT = 0.2
"""If a model that just keeps the promise would do as badly with less than this probability, answers are not enough."""
NEAR = 0.8
"""Largest error rate, as a share of the promised one, for which `missing` counts answers."""
WANTED = 0.8
"""Chance of success for which `missing` counts answers."""
MOST = 200_000
"""Largest number of answers that `needed` finds; the reports say "more than" it where no number is known."""
ALIKE = 1.0
"""Correlation of a group's answers that is assumed before any is incorrect. With 0.2, groups of 20 whose answers are
all the same broke a promise of 5 % in 18 % of the loops.
"""
EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Answers:
    """Answered outputs that chance chose and that the trigger does not send, in the order of their first answers."""

    confidence: Floats
    """Shape (n,), the model's confidence in its label, 0 to 1."""
    loss: Floats
    """Shape (n,), the share of the reviewers who say that the label is wrong, 0 to 1."""
    group: npt.NDArray[np.intp]
    """Shape (n,), the number of the output's group."""

    def __len__(self) -> int:
        return len(self.confidence)

    def take(self, rows: npt.NDArray[np.bool_]) -> Answers:
        """Return some of the answers."""
        return Answers(self.confidence[rows], self.loss[rows], self.group[rows])


@dataclass(frozen=True, slots=True)
class Tested:
    """One threshold of the row, with the answers at or above it up to the last look."""

    threshold: float
    answers: int
    effective: int
    """Number of independent answers that would tell as much."""
    incorrect: int
    """Number of incorrect ones among `effective`, rounded up."""
    allowed: int
    """Largest number of incorrect ones with which it is certified at the last look; -1 if there are too few answers."""
    certified: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The result of testing one row of thresholds."""

    threshold: float | None
    """The boldest certified threshold; None if there is none."""
    look: int | None
    """Number of answers of the last look; None before the first one."""
    tested: Sequence[Tested] = field(default=())
    """The thresholds that were tested, the most cautious one first: all certified ones, and the first that is not."""


def begin(scores: Floats, error: float, alpha: float, share: float = 1.0) -> tuple[float, ...]:
    """Return the row of thresholds, falling: from the one where the scores say that the promise can be kept, to all.

    `scores`: the model's confidences in outputs, answered or not; no answer is looked at. `share`: of the answers that
    belong to these outputs, below 1 for one label of several. () without scores.

    If the model says p, it is expected to be right with probability p. The row begins at the most cautious threshold
    that would nearly best pass the test at PLANNED answers. An over-confident model makes it begin too boldly; then
    nothing is certified, which is safe.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))[::-1]
    if not len(ordered):
        return ()
    shares = np.arange(CAUTIOUS, 1.0 + STEP / 2, STEP)
    last = np.minimum(np.ceil(shares * len(ordered)).astype(int), len(ordered)) - 1
    thresholds = ordered[last]
    first = np.flatnonzero(np.diff(thresholds, prepend=np.inf) < 0)
    row = thresholds[first]
    above = np.searchsorted(-ordered, -row, side="right")
    expected = np.cumsum(1.0 - ordered)[above - 1] / above
    chances = [
        _chance(int(PLANNED * share * n / len(ordered)), min(max(wrong, 1e-4), 1.0), error, alpha * spent(PLANNED))
        for n, wrong in zip(above, expected, strict=True)
    ]
    start = int(np.flatnonzero(np.asarray(chances) >= max(chances) - NEARLY)[0])
    return tuple(float(one) for one in row[start:])


def examine(answers: Answers, row: Sequence[float], error: float, alpha: float) -> Found:
    """Test the row of thresholds at the looks so far, and return the boldest certified one.

    `error`: the promised share, 0 to 1. `alpha`: the chance with which the promise may be broken over all looks. A
    threshold that was certified once stays so, unless the observed error rate above it rises over `error`.
    """
    looks = [size for size in SIZES if size <= len(answers)]
    if not looks or not row:
        return Found(None, looks[-1] if looks else None)
    upto = looks[-1]
    seen = Answers(answers.confidence[:upto], answers.loss[:upto], answers.group[:upto])
    shares = [spent(size) for size in looks]
    found, tested = None, list[Tested]()
    for threshold in row:
        one = _test(seen, threshold, looks, shares, error, alpha)
        tested.append(one)
        if not one.certified:
            break
        found = threshold
    return Found(found, upto, tested)


def _test(
    seen: Answers, threshold: float, looks: Sequence[int], shares: Sequence[float], error: float, alpha: float
) -> Tested:
    above = seen.confidence >= threshold
    effect = design_effect.of_groups(seen.loss[above], seen.group[above], assumed=ALIKE)
    at = np.asarray(looks) - 1
    n = np.cumsum(above)[at] / effect
    wrong = np.ceil(np.cumsum(np.where(above, seen.loss, 0.0))[at] / effect - EPSILON).astype(int)
    limits = _boundaries(tuple(int(x + EPSILON) for x in n), tuple(shares), error, alpha)
    passed = bool((wrong <= np.asarray(limits)).any())
    all_, effective = int(above.sum()), int(n[-1] + EPSILON)
    kept = all_ > 0 and float(seen.loss[above].mean()) <= error
    return Tested(threshold, all_, effective, int(wrong[-1]), limits[-1], passed and kept)


@lru_cache(maxsize=4096)
def _boundaries(sizes: tuple[int, ...], shares: tuple[float, ...], error: float, alpha: float) -> list[int]:
    return boundaries(sizes, shares, error, alpha)


def missing(answers: Answers, row: Sequence[float], scores: Floats, error: float, alpha: float) -> int | None:
    """Return about how many more answers are needed until the first threshold of the row is certified.

    None if no number would do: the answers above it show an error rate over `error`, and not by chance.

    It is the number at which the test succeeds with probability WANTED, at the error rate that answers and confidences
    suggest together, see likely_rate. Without a row: the number that suffices if no answer is incorrect.
    """
    if not row:
        least = needed_in_looks(0.0, error, alpha)
        return None if least is None else max(least - len(answers), 0)
    above = answers.confidence >= row[0]
    share = float((scores >= row[0]).mean()) if len(scores) else 1.0
    effect = design_effect.of_groups(answers.loss[above], answers.group[above], assumed=ALIKE)
    wrong, n = float(answers.loss[above].sum()) / effect, int(above.sum()) / effect
    if wrong >= error * n and at_least(int(wrong), int(n), error) < DOUBT:
        return None
    rate = likely_rate(answers, row[0], scores, error)
    for size in SIZES:
        n = int(size * share / effect)
        if size > len(answers) and _chance(n, rate, error, alpha * spent(size)) >= WANTED:
            return size - len(answers)
    return None


def likely_rate(answers: Answers, threshold: float, scores: Floats, error: float) -> float:
    """Return the error rate at or above a threshold for which `missing` counts, 0 to NEAR * `error`.

    Answers and confidences suggest it together; the confidences count for ten answers.
    """
    above, likely = answers.confidence >= threshold, scores[scores >= threshold]
    prior = 10.0 * (1.0 - float(likely.mean())) if len(likely) else 5.0 * error
    rate = (float(answers.loss[above].sum()) + prior) / (int(above.sum()) + 10.0)
    return min(rate, NEAR * error)


def needed_in_looks(rate: float, error: float, alpha: float) -> int | None:
    """Return at which look the test certifies with probability WANTED, if the error rate is `rate`; None if at none.

    All answers are above the threshold. Unlike `needed`, only a part of `alpha` is spent up to this look.
    """
    return next((size for size in SIZES if _chance(size, rate, error, alpha * spent(size)) >= WANTED), None)


def needed(rate: float, error: float, alpha: float) -> int | None:
    """Return how many answers certify that an error rate is below `error`, if it is `rate`: with one look, at WANTED.

    None if MOST do not.
    """
    low, high = 1, MOST
    if _chance(high, rate, error, alpha) < WANTED:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _chance(middle, rate, error, alpha) >= WANTED else (middle + 1, high)
    return low


@lru_cache(maxsize=4096)
def _chance(n: int, rate: float, error: float, alpha: float) -> float:
    """Return the probability that `n` answers with this true error rate pass an exact test of `error`, 0 to 1."""
    if n < 1:
        return 0.0
    most = int(error * n) + 1
    allowed = int(np.searchsorted(np.cumsum(binomial(n, error, most)), alpha, side="right")) - 1
    if allowed < 0:
        return 0.0
    if rate <= 0.0:
        return 1.0
    return math.fsum(binomial(n, min(rate, 1.0 - 1e-12), allowed))


def at_least(incorrect: int, answers: int, rate: float) -> float:
    """Return the probability of at least this many incorrect ones among `answers`, if the error rate is `rate`."""
    if incorrect <= 0:
        return 1.0
    if incorrect > answers:
        return 0.0
    return max(0.0, 1.0 - float(binomial(answers, rate, incorrect - 1).sum()))


def interval(incorrect: float, answers: float, confidence: float) -> tuple[float, float]:
    """Return the two-sided interval of an error rate that has at least this confidence (Clopper and Pearson 1934,
    doi:10.1093/biomet/26.4.404); (0, 1) without answers.
    """
    if answers <= 0:
        return 0.0, 1.0
    from scipy.special import betaincinv  # 70 MB, which the services do not need

    tail = (1.0 - confidence) / 2.0
    low = 0.0 if incorrect <= 0 else float(betaincinv(incorrect, answers - incorrect + 1.0, tail))
    high = 1.0 if incorrect >= answers else float(betaincinv(incorrect + 1.0, answers - incorrect, 1.0 - tail))
    return low, high
