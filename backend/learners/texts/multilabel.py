"""Multilabel: predicts any number of labels of a text, by TF-IDF of words and characters and one logistic regression
for each label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion

from backend.learners.predictions import Floats, Predictions
from backend.learners.reading import different, parsed, read_field
from backend.learners.text import bag
from labelloop.errors import Failed
from labelloop.labeling.kinds.labels import read_labels, write_labels
from labelloop.selection.features import read_text


class Multilabel:
    """Predicts the labels whose probability is above 0.5.

    The confidence is the probability that every label is correct, if labels are independent. A label that no answer has
    is unknown. A label that every answer has gets the probability (n + 1) / (n + 2) of Laplace's rule. For each label,
    answers with and without it get the same total weight: with few answers that improved labels and probabilities.
    """

    name: ClassVar[str] = "multilabel"

    def __init__(self, field: str, characters: bool = True) -> None:
        self.field = field
        self.characters = characters
        self.classes: tuple[str, ...] = ()
        self.estimator: Any = None
        """{"words": the vectorizers, "labels": of each class the regression, or its probability}"""

    @property
    def params(self) -> Mapping[str, Any]:
        return {"field": self.field, "characters": self.characters}

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        read_field(data, self.field, read_text)

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        different(data, labels)
        texts, sets = read_field(data, self.field, read_text), parsed(labels, read_labels)
        classes = tuple(sorted({label for one in sets for label in one}))
        words = FeatureUnion(bag(self.characters))
        seen = counted(words, texts)
        given = np.array([[label in one for label in classes] for one in sets])
        models = [_fitted(seen, column, weights) for column in given.T]
        self.classes, self.estimator = classes, {"words": words, "labels": models}
        return self

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        if not data:
            return Predictions([], np.empty(0), evidence=[])
        seen = self.estimator["words"].transform(read_field(data, self.field, read_text))
        shares = np.column_stack([_share(model, seen) for model in self.estimator["labels"]])
        return Predictions(
            [write_labels(label for label, p in zip(self.classes, row, strict=True) if p > 0.5) for row in shares],
            np.maximum(shares, 1.0 - shares).prod(axis=1),
            evidence=[{"labels": dict(zip(self.classes, row, strict=True))} for row in shares.tolist()],
        )


def _fitted(seen: Any, given: Any, weights: Sequence[float] | None) -> Any:
    """Return the regression of one label; the label's probability if every answer has it."""
    if given.all():
        return (len(given) + 1) / (len(given) + 2)
    return LogisticRegression(C=10, max_iter=1000, class_weight="balanced").fit(seen, given, sample_weight=weights)


def _share(model: Any, seen: Any) -> Floats:
    if isinstance(model, float):
        return np.full(seen.shape[0], model)
    found: Floats = model.predict_proba(seen)[:, 1]
    return found


def counted(words: FeatureUnion, texts: Sequence[str]) -> Any:
    """Fit the bag of words and return the counts of the texts. Raises Failed if the texts have no words."""
    try:
        return words.fit_transform(texts)
    except ValueError as exc:
        raise Failed(f"training on the {len(texts)} items failed: {exc}") from exc
