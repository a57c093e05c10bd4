"""Extrapolation of a learning curve: about how many labels would reach a goal that the budget did not reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

EXPONENTS = np.linspace(0.05, 2.0, 79)
"""Exponents that are tried: from a curve that hardly flattens to one that flattens at once."""
FEWEST_POINTS = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """About how many labels reach a goal. A rough guess: the curve was not measured there."""

    labels: int
    """From the mean curve, to two digits."""
    low: int | None
    """Smallest and largest value from the curves of single seeds; None unless at least two of them give one."""
    high: int | None


def estimate(
    labels: Sequence[int], metrics: npt.NDArray[np.float64], goal: float, pool: int, with_all_labels: float
) -> Estimate | None:
    """Return about how many labels would reach `goal`; None if the curve does not rise, or has under three points.

    `metrics`: the test metric, shape (seeds, len(labels)). `with_all_labels`: the metric with the `pool` labels, at
    which every curve ends.
    """
    middle = _reached(labels, metrics.mean(axis=0), goal, pool, with_all_labels)
    if middle is None:
        return None
    each = [_reached(labels, row, goal, pool, with_all_labels) for row in metrics]
    known = [n for n in each if n is not None]
    several = len(known) >= 2
    return Estimate(_rounded(middle), *((_rounded(min(known)), _rounded(max(known))) if several else (None, None)))


def _reached(
    labels: Sequence[int], metric: npt.NDArray[np.float64], goal: float, pool: int, with_all_labels: float
) -> float | None:
    """Return the labels at which an inverse power law through the second half of the curve reaches the goal.

    The law is metric = a - b x labels^-c, with a such that it ends at the metric with all labels (Figueroa et al. 2012,
    doi:10.1186/1472-6947-12-8).
    """
    half = min(len(labels) // 2, len(labels) - FEWEST_POINTS)
    if half < 0 or goal >= with_all_labels:
        return None
    x, missing = np.array(labels[half:], dtype=np.float64), with_all_labels - metric[half:]
    shapes = x[None] ** -EXPONENTS[:, None] - float(pool) ** -EXPONENTS[:, None]
    factors = shapes @ missing / np.maximum((shapes**2).sum(axis=1), 1e-300)
    errors = ((missing - factors[:, None] * shapes) ** 2).sum(axis=1)
    best = int(errors.argmin())
    if factors[best] <= 0:
        return None
    exponent = float(EXPONENTS[best])
    wanted = float(pool) ** -exponent + (with_all_labels - goal) / float(factors[best])
    return float(min(pool, max(labels[-1], wanted ** (-1 / exponent))))


def _rounded(n: float) -> int:
    return int(float(f"{n:.2g}"))
