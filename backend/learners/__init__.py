"""Learners: models that can be fitted to people's answers.

A new one is a file here, a line in LEARNER_CLASSES and a line in labelloop/spec/learners.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from backend.learners.making import construct
from backend.learners.predictions import Predictions
from labelloop.errors import SpecError
from labelloop.spec.learners import ESTIMATOR


class Learner(Protocol):
    """A model that can be fitted to people's answers."""

    name: ClassVar[str]
    """Its name in LEARNER_CLASSES, and in loop.yaml."""
    classes: tuple[str, ...]
    """The labels that it was taught, sorted; empty before `fit`."""
    estimator: Any
    """What was learned, as a scikit-learn object: the part that skops stores."""

    @property
    def params(self) -> Mapping[str, Any]:
        """What the constructor takes to make the like of this again; plain JSON."""
        ...

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        """Raises Unreadable, naming all the items that cannot be read; nothing is fitted."""
        ...

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        """Learn from scratch; the same data in the same order and the same state of `rng` give the same model.

        `labels` as answers have them. `weights`: how much each answer counts, 0 < w <= 1; all alike where None.
        Raises Unreadable where items cannot be read, Failed where there is nothing to tell apart.
        """
        ...

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        """What it says of each item. Raises Unreadable where items cannot be read."""
        ...


LEARNER_CLASSES: Mapping[str, str] = {
    "committee": "committee.Committee",
    "estimator": "estimator.Estimator",
    "images": "images.Images",
    "incremental": "incremental.Incremental",
    "tabular": "tabular.Tabular",
    "text": "text.Text",
    "vectors": "vectors.Vectors",
    "multilabel": "multilabel.Multilabel",
    "numbers": "numbers.Numbers",
    "spans": "spans.Spans",
    "label-studio-ml": "others.learner_hosted.Hosted",
    "remote": "others.learner_remote.Remote",
}
"""Name to its class, behind its module. It is imported when a learner is made, because scikit-learn takes 130 MB."""


def make(name: str, params: Mapping[str, Any]) -> Learner:
    """A learner that knows nothing yet; a name with a dot is the import path of a scikit-learn classifier.

    Raises SpecError for an unknown name and for parameters that it does not take, SettingsError where something that
    they ask for is not there.
    """
    if "." in name:
        name, params = ESTIMATOR, {**params, "path": name}
    if name not in LEARNER_CLASSES:
        there = ", ".join(sorted(LEARNER_CLASSES))
        by_path = "scikit-learn's classifiers by import path, such as sklearn.svm.SVC"
        raise SpecError(f"no learner {name!r}; there are: {there}, and {by_path}")
    load_sklearn()
    module, _, found = LEARNER_CLASSES[name].rpartition(".")
    learner: type[Learner] = getattr(import_module(f"{__name__}.{module}"), found)
    return construct(learner, params)


def load_sklearn() -> None:
    """Import scikit-learn without pandas, which it loads wherever it is installed: 40 MB that no learner here needs.

    Whoever imports pandas later gets it.
    """
    if "sklearn" in sys.modules or "pandas" in sys.modules:
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        import_module("sklearn.utils.fixes")
    finally:
        del sys.modules["pandas"]
