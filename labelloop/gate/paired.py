"""Paired: what two models' scores on the same items say about which is better, with interval and test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FLIPS = 100_000
"""The p-value of structured answers is known to one in so many; of very many answers, to one in FEWER."""
FEWER = 10_000
DRAWS = 100_000_000
"""Signs that one test draws at most, unless FEWER flips need more: a second's work."""
RESAMPLED = 1_000
PIECE = 1_000_000
"""Numbers that are drawn at a time: they stay where the processor is quick."""
Z = 1.9599639845400545
"""Of the standard normal distribution, the value that 2.5 % exceed."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A share of right answers with its Wilson 95 % interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    Of structured answers, which can be right in part, it is the mean score, with a bootstrap interval.
    """

    correct: int
    """Items that are right altogether."""
    n: int
    accuracy: float | None
    """0 to 1; None where there is nothing to judge on."""
    low: float | None
    high: float | None
    metric: str = "accuracy"
    """accuracy, or score."""

    @classmethod
    def of(cls, correct: int, n: int) -> Accuracy:
        if n == 0:
            return cls(0, 0, None, None, None)
        share = correct / n  # Wilson 1927
        middle, half = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        low, high = ((middle + side) / (1 + Z**2 / n) for side in (-half, half))
        return cls(correct, n, share, 0.0 if correct == 0 else low, 1.0 if correct == n else high)

    @classmethod
    def of_scores(cls, scores: Floats, metric: str, rng: np.random.Generator) -> Accuracy:
        """`scores`: of each item, 0 to 1; shape (n,)."""
        correct = int((scores == 1).sum())
        if metric == "accuracy" or not len(scores):
            return cls.of(correct, len(scores))
        low, high = bootstrap(scores, rng)
        return cls(correct, len(scores), float(scores.mean()), low, high, metric)

    def __str__(self) -> str:
        if self.accuracy is None or self.low is None or self.high is None:
            return "accuracy not measured (0 of 0)"
        bounds = f"95 % CI {100 * self.low:.1f} to {100 * self.high:.1f}"
        if self.metric == "accuracy":
            return f"accuracy {100 * self.accuracy:.1f} % ({self.correct} of {self.n}; {bounds})"
        return f"mean score {100 * self.accuracy:.1f} of 100 ({self.n} answers; {bounds})"

    def as_json(self) -> dict[str, Any]:
        return {"correct": self.correct, "accuracy": self.accuracy, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Gain:
    """Challenger minus incumbent, with its 95 % interval; -1 to 1."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, differences: Floats, rng: np.random.Generator) -> Gain:
        """`differences`: of the items' scores, one at least. Tango's interval where all are whole, else bootstrap."""
        low, high = _tango(differences) if _whole(differences) else bootstrap(differences, rng)
        return cls(float(differences.mean()), low, high)

    def __str__(self) -> str:
        return f"{100 * self.value:+.1f} points (95 % CI {100 * self.low:+.1f} to {100 * self.high:+.1f})"

    def as_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def p_better(differences: Floats, rng: np.random.Generator, flips: int = FLIPS) -> float:
    """Chance of at least this gain if neither model were better; the order of the items makes no difference.

    Exact McNemar where each item is right or wrong (McNemar 1947, doi:10.1007/BF02295996): items on which both are
    right, or both wrong, say nothing about which is better; among the others, chance alone would favour each half of
    the time. Else the same idea for scores: signs of the differences flipped at random (Fisher 1935, The Design of
    Experiments, section 21), counted so that it is never 0 (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    told = np.sort(differences[differences != 0])
    if not len(told):
        return 1.0
    if _whole(told):
        return _heads(int((told > 0).sum()), len(told))
    flips = min(flips, max(FEWER, DRAWS // len(told)))
    seen = told.sum() - 1e-9
    as_large = 0
    piece = max(1, PIECE // len(told))
    for start in range(0, flips, piece):
        rows = min(piece, flips - start)
        kept = np.unpackbits(np.frombuffer(rng.bytes((rows * len(told) + 7) // 8), np.uint8), count=rows * len(told))
        as_large += int((2 * (kept.reshape(rows, -1).astype(float) @ told) - told.sum() >= seen).sum())
    return (1 + as_large) / (1 + flips)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that any of them errs with the chance that is asked of one (Holm 1979, Scand. J. Statist. 6:65)."""
    adjusted, so_far = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = so_far
    return adjusted


def bootstrap(values: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of their mean (percentiles, Efron 1979, doi:10.1214/aos/1176344552), whatever their order."""
    values = np.sort(values)
    piece = max(1, PIECE // len(values))
    pieces = [min(piece, RESAMPLED - start) for start in range(0, RESAMPLED, piece)]
    means = [values[rng.integers(len(values), size=(n, len(values)), dtype=np.int32)].mean(axis=1) for n in pieces]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _heads(k: int, n: int) -> float:
    """The chance of at least `k` heads in `n` tosses of a fair coin, exactly (the binomial test, one-sided)."""
    ways, found = math.comb(n, k), 0
    for heads in range(k, n + 1):
        found += ways
        ways = ways * (n - heads) // (heads + 1)
    return float(found / 2**n)


def _whole(differences: Floats) -> bool:
    return bool(np.isin(differences, (-1.0, 0.0, 1.0)).all())


def _tango(differences: Floats) -> tuple[float, float]:
    """The gains that a score test does not refuse at 5 % (Tango 1998, Statistics in Medicine 17:891)."""
    n, better, worse = len(differences), int((differences > 0).sum()), int((differences < 0).sum())

    def z(gain: float) -> float:
        b = (2 * n - better + worse) * gain - better - worse
        worse_share = (np.sqrt(max(0.0, b * b + 8 * n * worse * gain * (1 - gain))) - b) / (4 * n)
        spread = n * (2 * worse_share + gain * (1 - gain))
        return float((better - worse - n * gain) / np.sqrt(spread)) if spread > 0 else 0.0

    seen = (better - worse) / n
    low = -1.0 if better - worse == -n else _crossing(lambda gain: z(gain) > Z, -1.0, seen)
    high = 1.0 if better - worse == n else _crossing(lambda gain: z(gain) >= -Z, seen, 1.0)
    return low, high


def _crossing(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where what holds at `low` ceases to."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
