"""Doubts: how likely another answer is than the one that a person gave, by a model that was not trained on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from backend.learners import Learner
from backend.learners.predictions import Floats, Predictions
from backend.score.scoring import predict_readable
from labelloop.labeling.kinds.labels import read_labels, write_labels
from labelloop.labeling.kinds.number import read_number
from labelloop.threads import one_thread

SUREST = 1 - 1e-12
"""Upper bound of a confidence, so that it has a quantile of the normal distribution."""


class Support(NamedTuple):
    """A model's probabilities of an answer and of the most probable other one."""

    given: float
    """Probability of the answer, 0 to 1."""
    other: str | None
    """The most probable other answer; None if the model sees none."""
    of_other: float
    """Probability of the other answer, 0 to 1; 0 without one."""


def doubt(support: Support) -> float:
    """Return the probability, 0 to 1, that the other answer is correct if one of the two is; 0.5 if both are equal.

    It ranks by the ratio of the two probabilities, so the temperature of a model does not change its order. Confident
    learning (Northcutt, Jiang and Chuang 2021, doi:10.1613/jair.1.12125) ranks by their difference, the normalized
    margin. That difference is small for every answer if there are many labels. Or it ranks by `given` alone, the
    self-confidence, which is small for a correct answer with two probable labels. `python -m
    benchmarks.promises.second` compares the three.
    """
    both = support.given + support.of_other
    return support.of_other / both if both > 0 else 0.0


def doubts(ranker: Learner, data: Sequence[Mapping[str, Any]], answers: Sequence[str]) -> list[float | None]:
    """Return the doubt about each answer by the ranker's own prediction; None if it cannot read the item or label.

    It means something only for answers that the ranker was not trained on.
    """
    found: list[float | None] = [None] * len(data)
    with one_thread:
        positions, predicted = predict_readable(ranker, data)
    these = supports(ranker.classes, predicted, [answers[position] for position in positions])
    for position, support in zip(positions, these, strict=True):
        found[position] = None if support is None else doubt(support)
    return found


def supports(classes: Sequence[str], predicted: Predictions, answers: Sequence[str]) -> list[Support | None]:
    """Return the model's support for each answer; None if it predicts nothing or does not know the answer's label.

    Probabilities of one label are the model's. For several labels, the other answer differs in the label that is most
    likely given or missing by mistake, and `given` is the probability that this label is correct. For spans and for
    numbers, the other answer is the model's own, with its confidence, and there is none if the two are the same.
    """
    if predicted.proba is not None:
        return _of_labels(classes, predicted.proba, answers)
    return [_of_answer(predicted, row, answer) for row, answer in enumerate(answers)]


def _of_labels(classes: Sequence[str], proba: Floats, answers: Sequence[str]) -> list[Support | None]:
    columns = {label: column for column, label in enumerate(classes)}
    rows = [row for row, answer in enumerate(answers) if answer in columns]
    found: list[Support | None] = [None] * len(answers)
    if not rows:
        return found
    theirs = [columns[answers[row]] for row in rows]
    others = np.clip(proba[rows], 0.0, 1.0)
    given = others[np.arange(len(rows)), theirs].copy()
    others[np.arange(len(rows)), theirs] = -1.0
    best = others.argmax(axis=1)
    for row, own, column, p in zip(rows, given.tolist(), best, others.max(axis=1).tolist(), strict=True):
        found[row] = Support(own, classes[column], p) if p >= 0 else Support(own, None, 0.0)
    return found


def _of_answer(predicted: Predictions, row: int, answer: str) -> Support | None:
    own = predicted.labels[row]
    if own is None:
        return None
    if predicted.evidence is not None and (shares := predicted.evidence[row].get("labels")) is not None:
        return _of_set(shares, answer)
    p = _own(predicted, row, own, answer)
    if p == 0.0:
        return Support(1.0, None, 0.0)
    return Support(1.0 - p, own, p)


def _of_set(shares: Mapping[str, float], answer: str) -> Support | None:
    """Return the support for an answer of several labels. `shares`: the probability of each label."""
    try:
        given = set(read_labels(answer))
    except ValueError:  # the loop's answers were of another kind
        return None
    if not shares:
        return None
    incorrect = {label: 1.0 - p if label in given else p for label, p in shares.items()}
    worst = max(incorrect, key=lambda label: incorrect[label])
    return Support(1.0 - incorrect[worst], write_labels(given ^ {worst}), incorrect[worst])


def _own(predicted: Predictions, row: int, own: str, answer: str) -> float:
    """Return the probability of the model's own answer against the person's; 0 if the two are the same.

    It is the model's confidence. If errors of numbers are normal, it is instead how probably a correct answer is nearer
    to the prediction than this one. Numbers within the model's tolerance are the same.
    """
    if own == answer:
        return 0.0
    confidence = float(predicted.confidences[row])
    if not predicted.tolerance:
        return confidence
    try:
        distance = abs(read_number(own) - read_number(answer)) / predicted.tolerance
    except ValueError:  # the loop's answers were of another kind
        return 0.0
    if distance <= 1.0:
        return 0.0
    normal = NormalDist()
    return 2 * normal.cdf(distance * normal.inv_cdf((1 + min(confidence, SUREST)) / 2)) - 1
