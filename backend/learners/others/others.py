"""Strict reading of your own or remote models: Label Studio's predictions as Predictions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from backend.learners.predictions import Predictions
from labelloop.labeling import kinds, results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind


def classes_of(config: LabelingConfig, labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels that such a model may predict, sorted: the form's, else those that the answers name."""
    if config.kind is Kind.LABEL:
        return tuple(sorted(config.labels or set(labels)))
    named = {label for answer in labels for label in kinds.of(config.answer).labels_in(config.answer, answer)}
    return tuple(sorted(config.labels or named))


def predictions_of(config: LabelingConfig, classes: Sequence[str], predictions: Sequence[Any]) -> Predictions:
    """Read predictions from {"result", "score"} objects; the label is None if the result is invalid in the form.

    If the answer is a list of regions, the scores of the regions are the evidence, for strategies such as boxes_max.
    """
    labels: list[str | None] = []
    scores: list[float | None] = []
    for prediction in predictions:
        label = results.read(config, prediction.get("result"), None).label if isinstance(prediction, dict) else None
        labels.append(label)
        scores.append(None if label is None else share(prediction.get("score")))
    found = with_confidences(classes if config.kind is Kind.LABEL else (), labels, scores)
    if kinds.geometry_of(config.answer) is None:
        return found
    return replace(found, evidence=[_evidence(config, one) for one in zip(predictions, labels, strict=True)])


def _evidence(config: LabelingConfig, predicted: tuple[Any, str | None]) -> Mapping[str, Any]:
    """Return {"boxes": score of each region}; {} if there is no answer, or a region without a score from 0 to 1."""
    prediction, label = predicted
    if label is None:
        return {}
    scores: dict[str, float | None] = {}
    for i, entry in enumerate(results.of_control(config.answer, prediction["result"])):
        scores.setdefault(str(entry.get("id", i)), share(entry.get("score")))  # entries of one region have one id
    return {} if None in scores.values() else {"boxes": list(scores.values())}


def with_confidences(
    classes: Sequence[str], labels: Sequence[str | None], confidences: Sequence[float | None]
) -> Predictions:
    """Return predictions with these confidences; a confidence that is unknown (None) becomes 0.

    If each label is a class with a confidence, the rest of its probability is spread evenly over the other classes: the
    least informative distribution. An item without a prediction gets the same probability for each class.
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
    """Return a number from 0 to 1; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if 0 <= value <= 1 else None
