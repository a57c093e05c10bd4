"""Learners: models that can be fitted to annotators' answers.

A new learner needs a file here, a line in LEARNER_CLASSES and a line in labelloop/spec/learners.py.
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
from labelloop.reading.nearest import did_you_mean
from labelloop.spec.learners import ESTIMATOR, NONE


class Learner(Protocol):
    """A model that can be fitted to annotators' answers."""

    name: ClassVar[str]
    """Its name in LEARNER_CLASSES, and in loop.yaml."""
    classes: tuple[str, ...]
    """The labels that it was trained on, sorted; empty before `fit`."""
    estimator: Any
    """The fitted scikit-learn object, which skops stores."""

    @property
    def params(self) -> Mapping[str, Any]:
        """Return the constructor's arguments for an equal, unfitted learner, as plain JSON."""
        ...

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        """Raise Unreadable with all the items that cannot be read. Nothing is fitted."""
        ...

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        """Train from scratch. The same data in the same order and the same state of `rng` give the same model.

        `labels`: in the form of stored answers. `weights`: weight of each answer, 0 < w <= 1; None if all count alike.
        Raises Unreadable if items cannot be read, Failed if all answers are the same.
        """
        ...

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        """Return a prediction for each item. Raises Unreadable if items cannot be read."""
        ...


LEARNER_CLASSES: Mapping[str, str] = {
    "auto": "texts.auto.Auto",
    "committee": "committee.Committee",
    "estimator": "estimator.Estimator",
    "images": "images.Images",
    "incremental": "incremental.Incremental",
    "tabular": "tabular.Tabular",
    "sentences": "texts.sentences.Sentences",
    "text": "text.Text",
    "vectors": "vectors.Vectors",
    "multilabel": "texts.multilabel.Multilabel",
    "numbers": "numbers.Numbers",
    "spans": "texts.spans.Spans",
    "label-studio-ml": "others.learner_hosted.Hosted",
    "remote": "others.learner_remote.Remote",
}
"""Learner's name to its module and class. A module is imported only when needed, since scikit-learn takes 130 MB."""


def make(name: str, params: Mapping[str, Any]) -> Learner:
    """Return an unfitted learner; a name with a dot is the import path of a scikit-learn classifier.

    Raises SpecError for an unknown name or for parameters that the learner does not take. Raises SettingsError if the
    parameters need something that is not installed here.
    """
    if "." in name:
        name, params = ESTIMATOR, {**params, "path": name}
    if name not in LEARNER_CLASSES:
        there = ", ".join([NONE, *sorted(LEARNER_CLASSES)])
        by_path = "scikit-learn's classifiers by import path, such as sklearn.svm.SVC"
        near = did_you_mean(name, [NONE, *LEARNER_CLASSES])
        raise SpecError(f"learner.name: no learner {name!r}{near}; there are: {there}, and {by_path}")
    load_sklearn()
    module, _, found = LEARNER_CLASSES[name].rpartition(".")
    learner: type[Learner] = getattr(import_module(f"{__name__}.{module}"), found)
    return construct(learner, params)


def load_sklearn() -> None:
    """Import scikit-learn without pandas, which it would load if installed: 40 MB that no learner here needs.

    A later import of pandas works as usual.
    """
    if "sklearn" in sys.modules or "pandas" in sys.modules:
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        import_module("sklearn.utils.fixes")
    finally:
        del sys.modules["pandas"]
