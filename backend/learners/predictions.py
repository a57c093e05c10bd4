"""Predictions: what a learner says of some items, in the words in which people answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of n items, in their order."""

    labels: Sequence[str | None]
    """As answers have them; None where it says nothing."""
    confidences: Floats
    """Of the labels, 0 to 1, shape (n,)."""
    proba: Floats | None = None
    """Of a classifier: shape (n, k), columns as in the learner's `classes`, rows sum to 1."""
    evidence: Sequence[Mapping[str, Any]] | None = None
    """Of any other: what query strategies read, in a form of labelloop/reading/evidence.py."""

    def __len__(self) -> int:
        return len(self.labels)


def from_proba(classes: Sequence[str], proba: Floats) -> Predictions:
    """What a classifier says: the most probable label, of equals the first."""
    if not len(proba):
        return Predictions([], np.empty(0), proba)
    return Predictions([classes[best] for best in proba.argmax(axis=1)], np.minimum(proba.max(axis=1), 1.0), proba)
