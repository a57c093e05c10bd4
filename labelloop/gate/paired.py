"""Paired comparison: the better of two models by their item scores on the same items, with interval and test."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
FLIPS = 100_000
"""Number of random sign flips; the smallest p-value is about 1 / FLIPS."""
FEWER = 10_000
"""Number of random sign flips if there are very many answers, and for each slice."""
DRAWS = 100_000_000
"""Largest number of random signs in one test, unless FEWER flips need more: about a second of work."""
RESAMPLED = 1_000
NUMBERS_PER_DRAW = 1_000_000
"""Random numbers drawn at a time: they stay in the processor's cache."""
Z = 1.9599639845400545
"""Value that a standard normal variable exceeds with a probability of 2.5 %."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Accuracy with its Wilson 95 % interval (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    For structured answers, which can be correct in part, it is the mean item score with a bootstrap interval.
    """

    correct: int
    """Number of items that are fully correct."""
    n: int
    accuracy: float | None
    """Accuracy, 0 to 1; None if there are no items."""
    low: float | None
    high: float | None
    metric: str = "accuracy"
    """Either accuracy, or score for the mean item score."""

    @classmethod
    def of(cls, correct: int, n: int) -> Accuracy:
        if n == 0:
            return cls(0, 0, None, None, None)
        share = correct / n  # Wilson 1927
        middle, half = share + Z**2 / (2 * n), Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
        low, high = ((middle + side) / (1 + Z**2 / n) for side in (-half, half))
        return cls(correct, n, share, 0.0 if correct == 0 else low, 1.0 if correct == n else high)

    @classmethod
    def of_item_scores(cls, item_scores: Floats, metric: str, rng: np.random.Generator) -> Accuracy:
        """Measure the accuracy from the score of each item, 0 to 1, shape (n,)."""
        correct = int((item_scores == 1).sum())
        if metric == "accuracy" or not len(item_scores):
            return cls.of(correct, len(item_scores))
        low, high = bootstrap(item_scores, rng)
        return cls(correct, len(item_scores), float(item_scores.mean()), low, high, metric)

    def __str__(self) -> str:
        if self.accuracy is None or self.low is None or self.high is None:
            return "accuracy not measured (0 of 0)"
        bounds = f"95 % CI {100 * self.low:.1f} to {100 * self.high:.1f}"
        if self.metric == "accuracy":
            return f"accuracy {100 * self.accuracy:.1f} % ({self.correct} of {self.n}; {bounds})"
        return f"mean item score {100 * self.accuracy:.1f} of 100 ({self.n} answers; {bounds})"

    def as_json(self) -> dict[str, Any]:
        return {"correct": self.correct, "accuracy": self.accuracy, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Gain:
    """Accuracy of the challenger minus that of the incumbent, with its 95 % interval; -1 to 1."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, differences: Floats, rng: np.random.Generator) -> Gain:
        """Measure the gain from the differences of the item scores, at least one.

        The interval is Tango's if every difference is -1, 0 or 1, else the bootstrap's.
        """
        low, high = _tango(differences) if is_whole(differences) else bootstrap(differences, rng)
        return cls(float(differences.mean()), low, high)

    def __str__(self) -> str:
        return f"{100 * self.value:+.1f} points (95 % CI {100 * self.low:+.1f} to {100 * self.high:+.1f})"

    def as_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def p_better(differences: Floats, rng: np.random.Generator, flips: int = FLIPS) -> float:
    """Return the probability of at least this gain if neither model were better. The order of the items does not
    matter.

    If each item is correct or incorrect, it is the exact McNemar test (McNemar 1947, doi:10.1007/BF02295996). Items on
    which both models are correct, or both incorrect, do not tell which one is better. On each other item, chance alone
    would favour either model half of the time.

    Otherwise the signs of the differences are flipped at random (Fisher 1935, The Design of Experiments, section 21).
    The count is such that the result is never 0 (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    told = np.sort(differences[differences != 0])
    if not len(told):
        return 1.0
    if is_whole(told):
        return _heads(int((told > 0).sum()), len(told))
    flips = min(flips, max(FEWER, DRAWS // len(told)))
    seen = told.sum() - 1e-9
    as_large = 0
    piece = max(1, NUMBERS_PER_DRAW // len(told))
    for start in range(0, flips, piece):
        rows = min(piece, flips - start)
        kept = coins(rows, len(told), rng).astype(float)
        as_large += int((2 * (kept @ told) - told.sum() >= seen).sum())
    return (1 + as_large) / (1 + flips)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values so that the chance of any error among them is the chance allowed for one.

    Holm 1979, Scand. J. Statist. 6:65.
    """
    adjusted, so_far = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = so_far
    return adjusted


def bootstrap(values: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of their mean, for any order (percentiles, Efron 1979, doi:10.1214/aos/1176344552)."""
    values = np.sort(values)
    piece = max(1, NUMBERS_PER_DRAW // len(values))
    pieces = [min(piece, RESAMPLED - start) for start in range(0, RESAMPLED, piece)]
    means = [values[rng.integers(len(values), size=(n, len(values)), dtype=np.int32)].mean(axis=1) for n in pieces]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _heads(k: int, n: int) -> float:
    """Return the probability of at least `k` heads in `n` tosses of a fair coin, exactly (the binomial test,
    one-sided).
    """
    ways, found = math.comb(n, k), 0
    for heads in range(k, n + 1):
        found += ways
        ways = ways * (n - heads) // (heads + 1)
    return float(found / 2**n)


def coins(rows: int, columns: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return random zeros and ones, shape (rows, columns), each bit of `rng` used once."""
    bits = np.frombuffer(rng.bytes((rows * columns + 7) // 8), np.uint8)
    return np.unpackbits(bits, count=rows * columns).reshape(rows, columns)


def is_whole(differences: Floats) -> bool:
    """Whether every difference is -1, 0 or 1, as if each answer is either correct or incorrect."""
    return bool(np.isin(differences, (-1.0, 0.0, 1.0)).all())


def _tango(differences: Floats) -> tuple[float, float]:
    """Return the interval of gains that a score test does not reject at 5 % (Tango 1998, Statistics in Medicine
    17:891).
    """
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
    """Return the point between `low` and `high` at which `holds` becomes false."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
