"""Calibration: how far a model's confidences are from its accuracy, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop.gate.paired import Floats

BINS = 10
MIN_ITEMS_PER_BIN = 15
"""Smallest mean number of items in a bin. With fewer items there are fewer bins, because small bins vary by chance."""
THROUGHOUT, CROSSING, BY_BIN = 0.03, 0.015, 0.005
"""Levels of the ways in which confidences can be wrong, 5 % together: the most frequent way has the most."""
Z_ONE_SIDED = 1.6448536269514722
"""Value that a standard normal variable exceeds with a probability of 5 %."""


@dataclass(frozen=True, slots=True)
class Bin:
    low: float
    """Smallest and largest confidence in the bin."""
    high: float
    n: int
    confidence: float
    """Mean confidence, 0 to 1."""
    accuracy: float
    """Mean item score, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602) over bins of equally many items,
    corrected for chance.

    With bins of equal width, most would be empty for a confident model (Nixon et al. 2019, arXiv:1904.01685).
    """

    ece: float
    """Expected calibration error, 0 to 1: mean distance of confidence and accuracy, weighted by the items of the bins.

    Chance makes the measured distances too large (Bröcker 2012, doi:10.1007/s00382-011-1191-1; Kumar, Liang & Ma 2019,
    arXiv:1909.10155; Roelofs et al. 2022, arXiv:2012.08668). This is the error with which bins of these sizes would
    show the measured distance on average.
    """
    low: float
    """Ends of its 90 % interval, 0 to 1: each end is wrong in at most 5 % of cases."""
    high: float
    uncorrected: float
    """The measured distance, 0 to 1."""
    bins: tuple[Bin, ...]

    @classmethod
    def of(cls, confidences: Floats, item_scores: Floats, rng: np.random.Generator) -> Calibration | None:
        """Measure the calibration of confidences and item scores, both of shape (n,), 0 to 1.

        Items with nan as confidence are left out; the result is None if no item remains.
        """
        known = ~np.isnan(confidences)
        order = np.lexsort((item_scores[known], confidences[known]))
        confidences, item_scores = confidences[known][order], item_scores[known][order]
        n = len(confidences)
        if not n:
            return None
        starts = np.linspace(0, n, min(BINS, max(1, n // MIN_ITEMS_PER_BIN)) + 1).astype(int)[:-1]
        starts = np.unique(np.searchsorted(confidences, confidences[starts]))  # keep equal confidences together
        pieces = list(zip(np.split(confidences, starts[1:]), np.split(item_scores, starts[1:]), strict=True))
        bins = tuple(Bin(float(c[0]), float(c[-1]), len(c), float(c.mean()), float(s.mean())) for c, s in pieces)
        measured = sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / n
        low = _at_least(confidences, item_scores, starts, rng)
        squares = float(((item_scores - confidences) ** 2).sum())
        # Two more items at distance 1 keep the interval from vanishing if all items are alike (Agresti & Coull 1998).
        high = min(1.0, measured + Z_ONE_SIDED * (max((squares + 2) / (n + 4) - measured**2, 0.0) / n) ** 0.5)
        low = min(low, measured)
        return cls(min(max(_corrected(bins, measured), low), high), low, high, measured, bins)

    def __str__(self) -> str:
        ends = f"90 % CI {100 * self.low:.1f} to {100 * self.high:.1f}"
        return f"calibration error (ECE) {100 * self.ece:.1f} % ({ends}, corrected for chance)"

    def is_above(self, limit: float) -> bool:
        """Return whether the error is above `limit` beyond chance: wrong in at most 5 % of cases."""
        return self.low > limit

    def as_json(self) -> dict[str, Any]:
        bins = [{"low": b.low, "high": b.high, "n": b.n, "confidence": b.confidence, "accuracy": b.accuracy}
                for b in self.bins]  # fmt: skip
        return {"ece": self.ece, "low": self.low, "high": self.high, "uncorrected": self.uncorrected, "bins": bins}


def _corrected(bins: tuple[Bin, ...], measured: float) -> float:
    """Return the error with which the bins would show `measured` on average, if their distances keep their ratios."""
    from scipy.special import ndtr  # 70 MB, which the services do not need

    n = np.array([b.n for b in bins], dtype=np.float64)
    distance = np.abs(np.array([b.accuracy - b.confidence for b in bins]))
    # Two items with the mean confidence keep the noise of a bin from vanishing if all its items are alike.
    accuracy = np.array([(b.n * b.accuracy + 2 * b.confidence) / (b.n + 2) for b in bins])
    noise = np.maximum(np.sqrt(accuracy * (1 - accuracy) / n), 1e-9)

    def shown(scale: float) -> float:
        """Return the mean distance that is measured, that of a folded normal variable, if the true one is scaled."""
        z = scale * distance / noise
        folded = noise * (np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2) + z * (1 - 2 * ndtr(-z)))
        return float(n @ folded / n.sum())

    low, high = 0.0, 1.0
    if shown(low) >= measured:
        return 0.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if shown(middle) < measured else (low, middle)
    return high * measured


def _at_least(
    confidences: Floats, item_scores: Floats, starts: npt.NDArray[np.intp], rng: np.random.Generator
) -> float:
    """Return the largest error that is exceeded beyond chance, 0 to 1, to a tenth of a point; confidences ascend.

    The calibration error is the mean of sign x (score - confidence) with the best signs by confidence (weighted
    calibration error, Gopalan et al. 2022, arXiv:2203.01255). With any other signs that do not depend on an item's own
    score, that mean is smaller. So an error is refuted if one of a few sign patterns has a mean above it beyond chance.
    The patterns share the level (Bonferroni).
    """
    tested = [(level, _Bets.of(signs, confidences, item_scores))
              for level, signs in _patterns(confidences, item_scores, starts, rng)]  # fmt: skip

    def refuted(error: float) -> bool:
        return any(bets.p(error) + bets.p(-error) <= level for level, bets in tested)

    low, high = 0.0, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def _patterns(
    confidences: Floats, item_scores: Floats, starts: npt.NDArray[np.intp], rng: np.random.Generator
) -> Iterator[tuple[float, Floats]]:
    """Yield levels and signs, shape (n,): too low or too high throughout, crossing in the middle, and bin by bin."""
    same = np.ones(len(confidences))
    above = np.where(confidences > np.median(confidences), 1.0, -1.0)
    for side in (-1.0, 1.0):
        yield THROUGHOUT, side * same
        yield CROSSING, side * above
    by_bin = same.copy()
    for items in np.split(np.arange(len(same)), starts[1:]):
        drawn = rng.permutation(items)
        off = item_scores[drawn] - confidences[drawn]
        by_bin[drawn] = np.where(np.cumsum(off) - off >= 0, 1.0, -1.0)  # the sign of the items drawn before
    yield BY_BIN, by_bin


@dataclass(frozen=True, slots=True)
class _Bets:
    """Bets on the success of an item (sign 1) or on its failure (sign -1)."""

    n: int
    wins: float
    """Sum of the item scores of those on success, and of 1 - item score of the others."""
    mean: float
    """Mean chance to win, and mean variance, if the confidences are calibrated."""
    variance: float
    errors: Floats
    """Errors, ascending, and the variance that each adds at most, both of shape (n + 1,)."""
    added: Floats

    @classmethod
    def of(cls, signs: Floats, confidences: Floats, item_scores: Floats) -> _Bets:
        wins = float(np.where(signs > 0, item_scores, 1 - item_scores).sum())
        chances = np.sort(np.where(signs > 0, confidences, 1 - confidences))
        room = (1 - chances) / len(chances)
        errors, added = (np.concatenate([[0.0], np.cumsum(more)]) for more in (room, room * (1 - 2 * chances)))
        variance = float((chances * (1 - chances)).mean())
        return cls(len(chances), wins, float(chances.mean()), variance, errors, added)

    def p(self, error: float) -> float:
        """Return the probability of at least so many wins if they are `error` more frequent than they should be.

        It is a binomial tail with the mean and the largest variance that such wins can have: that of an error which is
        all on the least probable bets. The tail of sums of different chances is at most as heavy (Hoeffding 1956,
        doi:10.1214/aoms/1177728178).
        """
        from scipy.special import betainc

        mean = self.mean + error
        if mean >= 1 or self.wins <= 0:
            return 1.0
        if mean <= 0:
            return 0.0
        added = float(np.interp(error, self.errors, self.added)) if error >= 0 else -error
        share = min(max(1 - (self.variance + added - error**2) / mean, 1e-3), 1 - 1e-9)
        tosses = self.n * mean / share
        return 0.0 if tosses - self.wins + 1 <= 0 else float(betainc(self.wins, tosses - self.wins + 1, share))
