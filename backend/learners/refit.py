"""Refit: what learners share that turn the items into an array and fit a scikit-learn pipeline to it anew."""

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
    """Reads one field of the data. The pipeline sees classes as numbers, positions in `classes`."""

    sees: ClassVar[tuple[str, ...]] = ()
    """The parameters that say what is seen of an item, and not what is made of it."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.classes: tuple[str, ...] = ()
        self.estimator: Any = None

    @property
    def params(self) -> Mapping[str, Any]:
        return {"field": self.field}

    @abstractmethod
    def read(self, value: object) -> Any:
        """What the pipeline is to see of one value of the field. Raises ValueError, saying why, where it cannot."""

    def numbers(self, features: Sequence[Any]) -> list[tuple[str, Any]]:
        """Steps of a pipeline, not fitted yet, that make an array of what was read, such as any classifier takes."""
        return []

    @abstractmethod
    def classifier(self, features: Sequence[Any], seed: int) -> Any:
        """A scikit-learn classifier of such an array, with `predict_proba`, not fitted yet."""

    def build(self, features: Sequence[Any], seed: int) -> Any:
        """A classifier of what was read, not fitted yet; `features` are what it will be taught."""
        return Pipeline([*self.numbers(features), ("classify", self.classifier(features, seed))])

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        self.see(data)

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
        features = self.see(data)
        codes = np.searchsorted(classes, labels)
        try:
            estimator = self.learn(features, codes, int(rng.integers(2**31)), weights)
        except ValueError as exc:
            raise Failed(f"the {len(data)} items cannot be learned from: {exc}") from exc
        self.classes, self.estimator = classes, estimator
        return self

    def learn(self, features: Sequence[Any], codes: Any, seed: int, weights: Sequence[float] | None) -> Any:
        """What `build` makes, fitted. Raises ValueError, saying why, where nothing can be learned."""
        return weighed_fit(self.build(features, seed), features, codes, weights)

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        return from_proba(self.classes, self.predict_proba(data))

    def predict_proba(self, data: Sequence[Mapping[str, object]]) -> npt.NDArray[np.float64]:
        """Shape (n, k), columns as in `classes`, rows sum to 1. Raises Unreadable where items cannot be read."""
        if not data:
            return np.empty((0, len(self.classes)))
        proba = np.array(self.estimator.predict_proba(self.see(data)), dtype=np.float64)
        proba /= proba.sum(axis=1, keepdims=True)
        return proba

    def see(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        """What the pipeline is to see of the items. Raises Unreadable, naming all that it cannot."""
        return read_field(data, self.field, self.read)


def weighed_fit(estimator: Any, features: Any, codes: Any, weights: Sequence[float] | None) -> Any:
    """Fit it; the weights go to the last step of a pipeline, and are dropped where it can make no use of any."""
    return estimator.fit(features, codes, **weighing(estimator, weights))


def weighing(
    estimator: Any, weights: Sequence[float] | npt.NDArray[np.float64] | None
) -> dict[str, npt.NDArray[np.float64]]:
    """The weights as an argument of the estimator's `fit`."""
    name = ""
    while isinstance(estimator, Pipeline):
        name, estimator = f"{name}{estimator.steps[-1][0]}__", estimator.steps[-1][1]
    if weights is None or not has_fit_parameter(estimator, "sample_weight"):
        return {}
    return {f"{name}sample_weight": np.asarray(weights, dtype=np.float64)}
