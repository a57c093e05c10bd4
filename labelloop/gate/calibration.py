"""Calibration: how far a model's confidences are from how often it is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labelloop.gate.paired import Floats

BINS = 10
A_BIN = 15
"""Fewer items than this in a bin measure their own luck: there are fewer bins then."""
DRAWN = 200


@dataclass(frozen=True, slots=True)
class Bin:
    low: float
    """Of the confidences in it."""
    high: float
    n: int
    confidence: float
    """Mean."""
    accuracy: float
    """Mean score."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected calibration error (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602), over bins of equally many items
    (Nixon et al. 2019, arXiv:1904.01685): with bins of equal width most are empty where a model is sure.
    """

    ece: float
    """0 to 1: mean distance of confidence and accuracy, weighted by the items of the bins."""
    by_luck: float
    """The ECE that a perfectly calibrated model with these confidences exceeds once in twenty times (Bröcker & Smith
    2007, doi:10.1175/WAF993.1: consistency resampling).
    """
    bins: tuple[Bin, ...]

    @classmethod
    def of(cls, confidences: Floats, scores: Floats, rng: np.random.Generator) -> Calibration | None:
        """Both of shape (n,), 0 to 1; a confidence may be nan: left out. None where none is left."""
        said = ~np.isnan(confidences)
        order = np.lexsort((scores[said], confidences[said]))
        confidences, scores = confidences[said][order], scores[said][order]
        n = len(confidences)
        if not n:
            return None
        starts = np.linspace(0, n, min(BINS, max(1, n // A_BIN)) + 1).astype(int)[:-1]
        starts = np.unique(np.searchsorted(confidences, confidences[starts]))  # equal confidences are never parted
        drawn = rng.random((DRAWN, n)) < confidences
        off = np.abs(np.add.reduceat(drawn - confidences, starts, axis=1)).sum(axis=1) / n
        pieces = list(zip(np.split(confidences, starts[1:]), np.split(scores, starts[1:]), strict=True))
        bins = [Bin(float(c[0]), float(c[-1]), len(c), float(c.mean()), float(s.mean())) for c, s in pieces]
        ece = float(np.abs(np.add.reduceat(scores - confidences, starts)).sum() / n)
        return cls(ece, float(np.quantile(off, 0.95)), tuple(bins))

    def as_json(self) -> dict[str, Any]:
        bins = [{"low": b.low, "high": b.high, "n": b.n, "confidence": b.confidence, "accuracy": b.accuracy}
                for b in self.bins]  # fmt: skip
        return {"ece": self.ece, "by_luck": self.by_luck, "bins": bins}
