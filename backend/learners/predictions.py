"""Predictions of a learner for some items, in the form of stored answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions for n items, in the items' order."""

    labels: Sequence[str | None]
    """Labels in the form of stored answers; None if the learner predicts nothing for an item."""
    confidences: Floats
    """Confidences in the labels, 0 to 1, shape (n,)."""
    proba: Floats | None = None
    """Probabilities of shape (n, k), columns as in the learner's `classes`, rows sum to 1; None if not a classifier."""
    evidence: Sequence[Mapping[str, Any]] | None = None
    """Evidence for query strategies, in a form of labelloop/reading/evidence.py; None if the learner gives none."""
    tolerance: float | None = None
    """For numbers: the distance from the answer up to which a prediction is correct; None if it is not known."""

    def __len__(self) -> int:
        return len(self.labels)


def from_proba(classes: Sequence[str], proba: Floats) -> Predictions:
    """Return a classifier's predictions: the most probable label of each item; the first one of equals."""
    if not len(proba):
        return Predictions([], np.empty(0), proba)
    return Predictions([classes[best] for best in proba.argmax(axis=1)], np.minimum(proba.max(axis=1), 1.0), proba)
