"""Refit: base class of learners that turn items into an array and fit a scikit-learn pipeline from scratch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from backend.learners.predictions import Predictions, from_proba
from backend.learners.reading import different, read_field
from labelloop.errors import Failed


class Refit(ABC):
    """Reads one field of the data. The pipeline gets classes as numbers, their positions in `classes`."""

    featurizer_params: ClassVar[tuple[str, ...]] = ()
    """Names of the parameters of featurizing; the others belong to the model."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.classes: tuple[str, ...] = ()
        self.estimator: Any = None

    @property
    def params(self) -> Mapping[str, Any]:
        return {"field": self.field}

    @abstractmethod
    def read(self, value: object) -> Any:
        """Return the pipeline's input for one value of the field. Raises ValueError with the reason if it cannot."""

    def numbers(self, features: Sequence[Any]) -> list[tuple[str, Any]]:
        """Return unfitted pipeline steps that turn features into an array for any classifier."""
        return []

    @abstractmethod
    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        """Return an unfitted scikit-learn classifier of such an array, with `predict_proba`."""

    def build(self, features: Sequence[Any], seed: int) -> Any:
        """Return an unfitted classifier of the features; `features` are those of the training set."""
        return Pipeline([*self.numbers(features), ("classify", self.classifier(features, seed))])

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        self.featurize(data)

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        different(data, labels)
        classes = tuple(sorted(set(labels)))
        self.classes, self.estimator = (), None
        features = self.featurize(data)
        codes = np.searchsorted(classes, labels)
        try:
            estimator = self.learn(features, codes, int(rng.integers(2**31)), weights)
        except ValueError as exc:
            raise Failed(f"training on the {len(data)} items failed: {exc}") from exc
        self.classes, self.estimator = classes, estimator
        return self

    def learn(self, features: Sequence[Any], codes: Any, seed: int, weights: Sequence[float] | None) -> Any:
        """Return the fitted result of `build`. Raises ValueError with the reason if nothing can be learned."""
        return weighed_fit(self.build(features, seed), features, codes, weights)

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        return from_proba(self.classes, self.predict_proba(data))

    def predict_proba(self, data: Sequence[Mapping[str, object]]) -> npt.NDArray[np.float64]:
        """Return probabilities: shape (n, k), columns as in `classes`, rows sum to 1. Raises Unreadable."""
        if not data:
            return np.empty((0, len(self.classes)))
        proba = np.array(self.estimator.predict_proba(self.featurize(data)), dtype=np.float64)
        proba /= proba.sum(axis=1, keepdims=True)
        return proba

    def featurize(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        """Return the pipeline's input for each item. Raises Unreadable with all items that cannot be read."""
        return read_field(data, self.field, self.read)


def weighed_fit(estimator: Any, features: Any, codes: Any, weights: Sequence[float] | None) -> Any:
    """Fit the estimator. The weights go to the last step of a pipeline, and are dropped if that step takes none."""
    return estimator.fit(features, codes, **weighing(estimator, weights))


def weighing(
    estimator: Any, weights: Sequence[float] | npt.NDArray[np.float64] | None
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the weights as a keyword argument of the estimator's `fit`; {} if it takes none."""
    name = ""
    while isinstance(estimator, Pipeline):
        name, estimator = f"{name}{estimator.steps[-1][0]}__", estimator.steps[-1][1]
    if weights is None or not has_fit_parameter(estimator, "sample_weight"):
        return {}
    return {f"{name}sample_weight": np.asarray(weights, dtype=np.float64)}
