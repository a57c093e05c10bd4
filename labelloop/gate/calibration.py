"""Calibration: how far a model's confidences are from its accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.gate.paired import Floats

BINS = 10
MIN_ITEMS_PER_BIN = 15
"""Smallest mean number of items in a bin. With fewer items there are fewer bins, because small bins vary by chance."""
RESAMPLES = 200


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
    """Expected calibration error (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602) over bins of equally many items.

    With bins of equal width, most would be empty for a confident model (Nixon et al. 2019, arXiv:1904.01685).
    """

    ece: float
    """Expected calibration error, 0 to 1: mean distance of confidence and accuracy, weighted by the
    items of the bins.
    """
    by_luck: float
    """The ECE that a perfectly calibrated model with these confidences exceeds once in twenty times.

    It is found by consistency resampling (Bröcker & Smith 2007, doi:10.1175/WAF993.1).
    """
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
        drawn = rng.random((RESAMPLES, n)) < confidences
        off = np.abs(np.add.reduceat(drawn - confidences, starts, axis=1)).sum(axis=1) / n
        pieces = list(zip(np.split(confidences, starts[1:]), np.split(item_scores, starts[1:]), strict=True))
        bins = [Bin(float(c[0]), float(c[-1]), len(c), float(c.mean()), float(s.mean())) for c, s in pieces]
        ece = float(np.abs(np.add.reduceat(item_scores - confidences, starts)).sum() / n)
        return cls(ece, float(np.quantile(off, 0.95)), tuple(bins))

    def as_json(self) -> dict[str, Any]:
        bins = [{"low": b.low, "high": b.high, "n": b.n, "confidence": b.confidence, "accuracy": b.accuracy}
                for b in self.bins]  # fmt: skip
        return {"ece": self.ece, "by_luck": self.by_luck, "bins": bins}
