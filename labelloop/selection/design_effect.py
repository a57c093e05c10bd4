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
"""For how many incorrect answers, or groups with one, an assumption counts."""
EPSILON = 1e-9
Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


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


def of_weights_and_groups(correct: Flags, share: float, weights: Floats, groups: Groups) -> float:
    """Return by how much weights and groups widen the variance of a weighted share, at least 1.

    It is measured by the residuals of `correct`, whose weighted mean is `share`. What is assumed is the effect of the
    weights, and an intraclass correlation of CORRELATION. `groups`: numbers from 0, shape (n,) as the others.
    """
    alone, same = _extremes(weights, groups)
    seen = float(min(correct.sum(), (~correct).sum()))
    return _drawn(correct, share, weights, groups, seen, alone + CORRELATION * (same - alone))


def at_most_of_weights_and_groups(correct: Flags, share: float, weights: Floats, groups: Groups) -> float:
    """Return the design effect as `of_weights_and_groups` does, for a promise that holds however alike groups are.

    All answers of a group are assumed to be the same, so each group counts as one answer at first (an "ultimate
    cluster": Hansen, Hurwitz and Madow 1953, "Sample survey methods and theory"). Only groups with an incorrect answer
    can show otherwise. A large one shows more: each counts by its answers beyond the first, and all together as Kish's
    effective number. The result is never less than that of `of_weights_and_groups`, and equals it without groups.
    """
    likely = of_weights_and_groups(correct, share, weights, groups)
    beyond = np.maximum(np.bincount(groups) - 1.0, 0.0)
    if not beyond.any():
        return likely
    shown = beyond[np.bincount(groups, ~correct) > 0]
    seen = float(shown.sum()) ** 2 / float((shown**2).sum()) if shown.any() else 0.0
    return max(likely, _drawn(correct, share, weights, groups, seen, _extremes(weights, groups)[1]))


def _extremes(weights: Floats, groups: Groups) -> tuple[float, float]:
    """Return the design effects of a correlation of 0 and of 1 within groups."""
    each = len(weights) / float(weights.sum()) ** 2
    return each * float((weights**2).sum()), each * float((np.bincount(groups, weights) ** 2).sum())


def _drawn(correct: Flags, share: float, weights: Floats, groups: Groups, seen: float, assumed: float) -> float:
    """Return the measured design effect, drawn towards the assumed one if few (`seen`) answers or groups tell it."""
    most = share * (1.0 - share)
    if most <= 0.0:
        return max(1.0, assumed)
    residuals = np.bincount(groups, weights * (correct - share))
    measured = float((residuals**2).sum()) / float(weights.sum()) ** 2 * len(weights) / most
    return max(1.0, (seen * measured + CORRELATION_WEIGHT * assumed) / (seen + CORRELATION_WEIGHT))
