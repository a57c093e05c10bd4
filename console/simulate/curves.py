"""Learning curves over seeds: mean and interval, and how many labels a share of the full score took; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SHARES = (0.90, 0.95)
"""Of the full-data score; what labels are counted for."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Scores after `labels` answers, one row a seed."""

    labels: tuple[int, ...]
    scores: npt.NDArray[np.float64]
    """Shape (seeds, len(labels))."""

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.scores.mean(axis=0))

    def interval(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """95 % for the mean, by Student's t over the seeds; None with one seed."""
        from scipy.stats import t

        n = len(self.scores)
        if n < 2:
            return None
        half = t.ppf(0.975, n - 1) * self.scores.std(axis=0, ddof=1) / np.sqrt(n)
        return self.mean - half, self.mean + half

    def reached(self, score: float) -> list[int | None]:
        """For each seed the first number of labels with this score; None where it was not within the budget."""
        first = [np.flatnonzero(row >= score) for row in self.scores]
        return [self.labels[at[0]] if len(at) else None for at in first]


@dataclass(frozen=True, slots=True)
class Needed:
    """Labels that a score took, over the seeds; None is "not within the budget"."""

    score: float
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


def needed(curve: Curve, full: float) -> dict[str, Needed]:
    """By share, "0.90" and "0.95"."""
    return {f"{share:.2f}": Needed(share * full, tuple(curve.reached(share * full))) for share in SHARES}


def _known(value: float) -> float | None:
    """A median between a number and "not reached" is not reached."""
    return value if np.isfinite(value) else None


def steps(budget: int, batch: int) -> tuple[int, ...]:
    """Labels after each batch."""
    return tuple(min(n, budget) for n in range(batch, budget + batch, batch))


def ratio(ours: Sequence[float | None], theirs: Sequence[float | None]) -> float | None:
    """Median of ours by median of theirs; None where either was not reached."""
    medians = [_known(float(np.median([np.inf if n is None else n for n in one]))) for one in (ours, theirs)]
    return None if medians[0] is None or medians[1] is None else medians[0] / medians[1]
