"""Learning curves over seeds: mean, spread, and labels needed to reach a share of the metric with all labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SHARES = (0.90, 0.95)
"""Shares of the metric with all labels; for each, the labels needed are counted."""
FEWEST_FOR_INTERVAL = 4
"""Number of seeds from which an interval is given. With fewer, Student's t is so wide that the range says more."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean over the seeds, with its 95 % interval by Student's t, or with the range of the seeds if they are few."""

    mean: float
    low: float | None
    """None with one seed."""
    high: float | None

    @classmethod
    def of(cls, values: npt.NDArray[np.float64], least: float = 0.0) -> Spread:
        """Summarise one value per seed, each from `least` to 1."""
        from scipy.stats import t

        n, mean = len(values), float(values.mean())
        if n < FEWEST_FOR_INTERVAL:
            return cls(mean, *((None, None) if n < 2 else (float(values.min()), float(values.max()))))
        half = float(t.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
        return cls(mean, max(least, mean - half), min(1.0, mean + half))


@dataclass(frozen=True, slots=True)
class Curve:
    """The test metric after each number of labels in `labels`, one row per seed."""

    labels: tuple[int, ...]
    metrics: npt.NDArray[np.float64]
    """Shape (seeds, len(labels))."""

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.metrics.mean(axis=0))

    def spreads(self) -> list[Spread]:
        """Return the mean of the metric after each number of labels, with its interval or range."""
        return [Spread.of(column) for column in self.metrics.T]

    def differences(self, other: Curve) -> tuple[Spread, Spread]:
        """Return the difference of the metrics, seed by seed: with all labels of the budget, and the mean over all
        batches after the first, which is the same for both.
        """
        differences = self.metrics - other.metrics
        return Spread.of(differences[:, -1], -1.0), Spread.of(differences[:, 1:].mean(axis=1), -1.0)

    def reached(self, metric: float) -> list[int | None]:
        """Return per seed the first number of labels that reached `metric`; None if the budget did not suffice."""
        first = [np.flatnonzero(row >= metric) for row in self.metrics]
        return [self.labels[at[0]] if len(at) else None for at in first]


@dataclass(frozen=True, slots=True)
class Needed:
    """Labels needed to reach `metric`, per seed; None if the budget did not suffice."""

    metric: float
    per_seed: tuple[int | None, ...]

    @property
    def median(self) -> float | None:
        return _known(float(np.median(self._numbers())))

    @property
    def low(self) -> float | None:
        return _known(min(self._numbers()))

    @property
    def high(self) -> float | None:
        return _known(max(self._numbers()))

    def _numbers(self) -> list[float]:
        return [np.inf if n is None else float(n) for n in self.per_seed]


def needed(curve: Curve, metric_with_all_labels: float) -> dict[str, Needed]:
    """Return the labels needed by share of the metric with all labels: keys "0.90" and "0.95"."""
    goals = {share: share * metric_with_all_labels for share in SHARES}
    return {f"{share:.2f}": Needed(goal, tuple(curve.reached(goal))) for share, goal in goals.items()}


def _known(value: float) -> float | None:
    """Return None for an infinite value: a median between a number and "not reached" is not reached."""
    return value if np.isfinite(value) else None


def steps(budget: int, batch: int) -> tuple[int, ...]:
    """Return the number of labels after each batch."""
    return tuple(min(n, budget) for n in range(batch, budget + batch, batch))


def ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    """Return the median of ours divided by the median of theirs; None if either was not reached."""
    medians = [_known(float(np.median([np.inf if n is None else n for n in one]))) for one in (ours, theirs)]
    return None if medians[0] is None or medians[1] is None else medians[0] / medians[1]
