"""Learning curves over seeds: mean, interval, and labels needed to reach a share of the metric with all labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SHARES = (0.90, 0.95)
"""Shares of the metric with all labels; for each, the labels needed are counted."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The test metric after each number of labels in `labels`, one row per seed."""

    labels: tuple[int, ...]
    metrics: npt.NDArray[np.float64]
    """Shape (seeds, len(labels))."""

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.metrics.mean(axis=0))

    def interval(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Return the 95 % interval of the mean, by Student's t over the seeds; None with one seed."""
        from scipy.stats import t

        n = len(self.metrics)
        if n < 2:
            return None
        half = t.ppf(0.975, n - 1) * self.metrics.std(axis=0, ddof=1) / np.sqrt(n)
        return self.mean - half, self.mean + half

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
