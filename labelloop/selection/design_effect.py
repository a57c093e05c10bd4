"""Design effects: by how much the variance of a mean grows because answers are alike or count differently. Pure.

A number of answers divided by the design effect is the number of independent answers, drawn evenly, that would tell as
much (Kish 1965, "Survey sampling", sections 5.4 and 11.7). With few incorrect answers, or few correct ones, it is
hardly known. Then it is drawn towards what is assumed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CORRELATION = 0.2
"""Intraclass correlation of a group's answers that is assumed before any answer is incorrect."""
CORRELATION_WEIGHT = 3.0
"""How many incorrect answers that assumption counts for."""
EPSILON = 1e-9
Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.intp]


def of_groups(
    losses: Floats,
    groups: Groups,
    residuals: Floats | None = None,
    weights: Floats | None = None,
    assumed: float = CORRELATION,
) -> float:
    """Return by how much groups widen the variance of the mean loss, at least 1; 1 if no two answers share a group.

    It is 1 + (weighted size of an answer's group - 1) x intraclass correlation. The correlation is the mean product of
    two residuals of one group. All arrays have shape (n,). `losses`: 0 to 1. `residuals`: the losses less their mean if
    it is None. `weights`: all alike if it is None. `assumed`: the correlation before any answer is incorrect.
    """
    if not len(losses):
        return 1.0
    index = np.unique(groups, return_inverse=True)[1]
    members = np.bincount(index).astype(np.float64)
    if weights is None:
        size = float((members**2).sum() / members.sum())
    else:
        size = float((np.bincount(index, weights) ** 2).sum() / (weights**2).sum())
    if size <= 1.0 + EPSILON:
        return 1.0
    if residuals is None:
        residuals = losses - losses.mean()
    products = np.bincount(index, residuals) ** 2 - np.bincount(index, residuals**2)
    variance = float((residuals**2).mean())
    pairs = float((members * (members - 1.0)).sum())
    alike = float(products.sum()) / pairs / variance if variance > 0 else 0.0
    # Only answers that share a group say how alike groups are.
    shared = losses[members[index] > 1]
    seen = min(float(shared.sum()), len(shared) - float(shared.sum()))
    alike = (alike * seen + assumed * CORRELATION_WEIGHT) / (seen + CORRELATION_WEIGHT)
    return 1.0 + min(max(alike, 0.0), 1.0) * (size - 1.0)


def of_weights_and_groups(correct: npt.NDArray[np.bool_], share: float, weights: Floats, groups: Groups) -> float:
    """Return by how much weights and groups widen the variance of a weighted share, at least 1.

    It is measured by the residuals of `correct`, whose weighted mean is `share`. What is assumed is the effect of the
    weights, and an intraclass correlation of CORRELATION. `groups`: numbers from 0, shape (n,) as the others.
    """
    sums = np.bincount(groups, weights)
    squares = float((weights**2).sum())
    assumed = len(weights) * squares / float(weights.sum()) ** 2
    assumed *= 1.0 + CORRELATION * (float((sums**2).sum()) / squares - 1.0)
    most = share * (1.0 - share)
    if most <= 0.0:
        return max(1.0, assumed)
    residuals = np.bincount(groups, weights * (correct - share))
    measured = float((residuals**2).sum()) / float(weights.sum()) ** 2 * len(weights) / most
    seen = float(min(correct.sum(), (~correct).sum()))
    return max(1.0, (seen * measured + CORRELATION_WEIGHT * assumed) / (seen + CORRELATION_WEIGHT))
