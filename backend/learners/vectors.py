"""Vectors: classifies items by an embedding in a field of their data, a list of numbers, with logistic regression."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from backend.learners.refit import Refit
from labelloop.errors import Unreadable


class Vectors(Refit):
    """Reads lists of finite numbers in the field `vector`, all of one length.

    Annotators need not see the field `vector`. Without it, `field` is read. `C` is meant for vectors whose mean squared
    distance to their mean is 1, about as vectors of unit length have it. Others are scaled.
    """

    name: ClassVar[str] = "vectors"
    featurizer_params = ("vector",)

    grid: ClassVar[Mapping[str, Sequence[Any]]] = {"C": (1.0, 10.0, 100.0)}

    def __init__(self, field: str, vector: str = "", C: Annotated[float, Field(gt=0)] = 3.0) -> None:
        super().__init__(vector or field)
        self.C = C

    @property
    def params(self) -> Mapping[str, Any]:
        return {"field": self.field, "C": self.C}

    def read(self, value: object) -> npt.NDArray[np.float64]:
        if not isinstance(value, list) or not value:
            raise ValueError(f"is not a list of numbers but {type(value).__name__}")
        try:
            found = np.array([float(one) for one in value if isinstance(one, int | float)])
        except OverflowError:
            found = np.array([np.inf])
        if len(found) < len(value) or not np.isfinite(found).all():
            raise ValueError("holds a value that is not a finite number")
        return found

    def featurize(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        vectors = super().featurize(data)
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
        # Otherwise the strength of the penalty would depend on the scale of the embedding.
        variance = max(float(np.asarray(features).var(axis=0).sum()), 1e-12)
        return LogisticRegression(C=self.C / variance, max_iter=1000, class_weight="balanced")
