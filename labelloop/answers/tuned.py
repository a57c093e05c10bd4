"""The difference estimator: a model's own confidence narrows the interval of its error rate. Pure.

A model that is 80 % sure claims to be wrong in 20 % of such cases. This claim, the *doubt*, is known for all outputs,
and the loss for the answered ones only. A difference of the answered outputs' mean doubt from that of all outputs is an
accident of the draw. The estimate takes it back, `slope` times (Cassel, Sarndal and Wretman 1976,
doi:10.1093/biomet/63.3.615). With a tuned slope it is PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv:2311.01453).
Whatever a model claims, the estimate stays unbiased: a useless claim has a slope of about 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
ENOUGH = 10.0
"""Incorrect answers of a stratum, and correct ones, from which its slope is trusted. With fewer it is 0."""
MOST_SLOPE = 5.0
"""Largest slope. A larger one would rest on a few outputs."""


class Tuned(NamedTuple):
    slope: float
    """0 if the doubts are not used."""
    ratio: float
    """Variance that is left, as a share of the losses' variance, 0 to 1."""


NOT_USED = Tuned(0.0, 1.0)


def tune(losses: Floats, doubts: Floats, period: npt.NDArray[np.intp], uneven: float = 1.0) -> Tuned:
    """Return the slope of the losses over the doubts, and what it leaves of their variance; arrays of shape (n,).

    Both are compared with their means of the same `period`, as the estimate does; the less `uneven` the periods count,
    0 to 1, the more with their means of all. NOT_USED if fewer than ENOUGH answers are incorrect, or correct, or if the
    doubts do not grow with the losses.
    """
    periods = 1 + uneven * (len(set(period.tolist())) - 1)
    free = len(losses) - periods - 1
    if min(losses.sum(), len(losses) - losses.sum()) < ENOUGH or free < ENOUGH:
        return NOT_USED
    y, f = _centred(losses, period, uneven), _centred(doubts, period, uneven)
    spread, total = float(f @ f), float(y @ y)
    if spread <= 1e-12 * len(f) or total <= 0:
        return NOT_USED
    slope = min(float(f @ y) / spread, MOST_SLOPE)
    if slope <= 0:
        return NOT_USED
    left = y - slope * f
    return Tuned(slope, min(1.0, float(left @ left) / total * (free + 1) / free))


def _centred(values: Floats, period: npt.NDArray[np.intp], uneven: float) -> Floats:
    means = np.bincount(period, values) / np.maximum(np.bincount(period), 1)
    centred: Floats = values - (uneven * means[period] + (1.0 - uneven) * values.mean())
    return centred
