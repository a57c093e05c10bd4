"""Refit: what learners share that turn the items into an array and fit a scikit-learn pipeline to it anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from backend.learners.said import Said, of_proba
from labelloop.errors import Failed, Unreadable


class Refit(ABC):
    """Reads one field of the data. The pipeline sees classes as numbers, positions in `classes`."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.classes: tuple[str, ...] = ()
        self.estimator: Any = None

    @property
    def params(self) -> Mapping[str, str | int | float | bool]:
        return {"field": self.field}

    @abstractmethod
    def read(self, value: object) -> Any:
        """What the pipeline is to see of one value of the field. Raises ValueError, saying why, where it cannot."""

    @abstractmethod
    def build(self, features: Sequence[Any], seed: int) -> Any:
        """A scikit-learn classifier with `predict_proba`, not fitted yet; `features` are what it will be taught."""

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        self._features(data)

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        if len(data) != len(labels):
            raise ValueError(f"{len(data)} items with {len(labels)} labels")
        classes = tuple(sorted(set(labels)))
        if len(classes) < 2:
            said = f"all {len(labels)} say {classes[0]!r}" if classes else "there is none"
            raise Failed(f"answers with at least 2 different labels are needed to learn; {said}")
        features = self._features(data)
        estimator = self.build(features, int(rng.integers(2**31)))
        try:
            self.teach(estimator, features, np.array([classes.index(label) for label in labels]), weights)
        except ValueError as exc:
            raise Failed(f"the {len(data)} items cannot be learned from: {exc}") from exc
        self.classes, self.estimator = classes, estimator
        return self

    def teach(self, estimator: Any, features: Sequence[Any], codes: Any, weights: Sequence[float] | None) -> None:
        """Fit what `build` made; the weights go to the last step of a pipeline."""
        if weights is None:
            estimator.fit(features, codes)
            return
        last = f"{estimator.steps[-1][0]}__" if hasattr(estimator, "steps") else ""
        estimator.fit(features, codes, **{f"{last}sample_weight": np.asarray(weights, dtype=np.float64)})

    def say(self, data: Sequence[Mapping[str, object]]) -> Said:
        return of_proba(self.classes, self.predict_proba(data))

    def predict_proba(self, data: Sequence[Mapping[str, object]]) -> npt.NDArray[np.float64]:
        """Shape (n, k), columns as in `classes`, rows sum to 1. Raises Unreadable where items cannot be read."""
        if not data:
            return np.empty((0, len(self.classes)))
        proba = np.asarray(self.estimator.predict_proba(self._features(data)), dtype=np.float64)
        proba /= proba.sum(axis=1, keepdims=True)
        return proba

    def _features(self, data: Sequence[Mapping[str, object]]) -> list[Any]:
        features, faults = [], {}
        for position, item in enumerate(data):
            try:
                if self.field not in item:
                    raise ValueError("is missing")
                features.append(self.read(item[self.field]))
            except ValueError as exc:
                faults[position] = f"its field {self.field!r} {exc}"
        if faults:
            raise Unreadable(faults)
        return features
