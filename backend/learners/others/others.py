"""What models of others say, read strictly: Label Studio's predictions as Predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from backend.learners.predictions import Predictions
from labelloop.labeling import results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind


def classes_of(config: LabelingConfig, labels: Iterable[str]) -> tuple[str, ...]:
    """What such a model may say, sorted: the form's labels; where it has none, those among the answers; no numbers."""
    return () if config.kind is Kind.NUMBER else tuple(sorted(config.labels or set(labels)))


def predictions_of(config: LabelingConfig, classes: Sequence[str], predictions: Sequence[Any]) -> Predictions:
    """Of {"result", "score"} each; what is no such thing, or no answer that the form can give, says nothing."""
    labels: list[str | None] = []
    scores: list[float | None] = []
    for prediction in predictions:
        label = results.read(config, prediction.get("result"), None).label if isinstance(prediction, dict) else None
        labels.append(label)
        scores.append(None if label is None else share(prediction.get("score")))
    return with_confidences(classes, labels, scores)


def with_confidences(
    classes: Sequence[str], labels: Sequence[str | None], confidences: Sequence[float | None]
) -> Predictions:
    """Labels and how sure the model is of each; None: it does not say, which is 0 to those who read a number.

    Where each label is a class and has a confidence, what that leaves is spread evenly over the other classes: of all
    probabilities that fit, these say the least. Of an item of which nothing is said all classes are alike.
    """
    numbers = np.array([0.0 if confidence is None else confidence for confidence in confidences], dtype=np.float64)
    columns = {label: column for column, label in enumerate(classes)}
    whole = all(
        label is None or (label in columns and sure is not None)
        for label, sure in zip(labels, confidences, strict=True)
    )
    if not whole or len(classes) < 2:
        return Predictions(labels, numbers)
    proba = np.full((len(labels), len(classes)), 1 / len(classes))
    for row, (label, sure) in enumerate(zip(labels, numbers, strict=True)):
        if label is not None:
            proba[row] = (1 - sure) / (len(classes) - 1)
            proba[row, columns[label]] = sure
    return Predictions(labels, numbers, proba)


def share(value: object) -> float | None:
    """A number from 0 to 1; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= 1 else None
