"""Refit: what learners share that turn the items into an array and fit a scikit-learn pipeline to it anew."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

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

    def fit(self, data: Sequence[Mapping[str, object]], labels: Sequence[str], rng: np.random.Generator) -> Self:
        if len(data) != len(labels):
            raise ValueError(f"{len(data)} items with {len(labels)} labels")
        classes = tuple(sorted(set(labels)))
        if len(classes) < 2:
            said = f"all {len(labels)} say {classes[0]!r}" if classes else "there is none"
            raise Failed(f"answers with at least 2 different labels are needed to learn; {said}")
        features = self._features(data)
        estimator = self.build(features, int(rng.integers(2**31)))
        try:
            estimator.fit(features, np.array([classes.index(label) for label in labels]))
        except ValueError as exc:
            raise Failed(f"the {len(data)} items cannot be learned from: {exc}") from exc
        self.classes, self.estimator = classes, estimator
        return self

    def predict_proba(self, data: Sequence[Mapping[str, object]]) -> npt.NDArray[np.float64]:
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
