"""Vectors: items that bring an embedding along, a list of numbers in a field of their data; logistic regression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from backend.learners.refit import Refit
from labelloop.errors import Unreadable


class Vectors(Refit):
    """Reads a list of finite numbers in `vector`, of texts, pictures or anything; all of one length.

    `vector` is a field of the data that annotators need not see; without it, `field` is read.
    """

    name: ClassVar[str] = "vectors"
    sees = ("vector",)

    def __init__(self, field: str, vector: str = "") -> None:
        super().__init__(vector or field)

    def read(self, value: object) -> npt.NDArray[np.float64]:
        if not isinstance(value, list) or not value:
            raise ValueError(f"is not a list of numbers but {type(value).__name__}")
        try:
            found = np.array([float(one) for one in value if isinstance(one, int | float)])
        except OverflowError:
            found = np.array([np.inf])
        if len(found) < len(value) or not np.isfinite(found).all():
            raise ValueError("holds what is not a finite number")
        return found

    def see(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        vectors = super().see(data)
        if not vectors:
            return vectors
        widths = Counter(map(len, vectors))
        width = widths.most_common(1)[0][0] if self.estimator is None else self.estimator.n_features_in_
        if faults := {
            place: f"its field {self.field!r} has {len(vector)} numbers, not {width}"
            for place, vector in enumerate(vectors)
            if len(vector) != width
        }:
            raise Unreadable(faults)
        return vectors

    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        # As if they had variance 1: else what the penalty means depends on the scale of somebody's model.
        variance = max(float(np.asarray(features).var(axis=0).mean()), 1e-12)
        return LogisticRegression(C=1 / variance, max_iter=1000, class_weight="balanced")
