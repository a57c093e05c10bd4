"""Calibrate: scale a learner's probabilities, so that 80 % of its predictions with confidence 0.8 are correct.

Temperature scaling divides the logarithms of the probabilities by one number, which changes no label (Guo et al. 2017,
"On Calibration of Modern Neural Networks", section 4.2). The number is fitted by cross-validation within the training
set: equal learners predict answers that they were not trained on. The hold-out set is not used. Those predictions are
also how answers are doubted, see backend/train/out_of_fold.py.

For several labels and for spans, the logarithm of the confidence is scaled: the probability that the whole answer is
correct. The learner `numbers` estimates its confidence itself, on answers that its members were not trained on.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.model_selection import StratifiedGroupKFold

from backend.learners import Learner, make
from backend.learners.predictions import Floats, Predictions, from_proba
from labelloop.errors import Failed, Unreadable

MIN_ANSWERS = 60
"""Answers that calibration needs; with fewer, the temperature would be too inexact."""
FOLDS = 5
ENOUGH = 400
"""Held-out predictions that suffice for the temperature; once there are as many, the remaining folds are skipped."""
SMALLEST = 1e-12
"""Lower bound of a probability, so that it has a logarithm."""
BOUNDS = 0.05, 20.0
"""Bounds of the temperature; below 1 it raises confidences."""
Data = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Fold:
    """Predictions of a learner that was trained without some of the answers, for those answers."""

    training: Sequence[int]
    """Positions of the answers that it was trained on."""
    held_out: Sequence[int]
    """Positions of the answers that it predicts."""
    classes: tuple[str, ...]
    """The labels that it was trained on."""
    predicted: Predictions
    """Its predictions, as trained: not calibrated. One for each of `held_out`."""


class Calibrated:
    """A fitted learner with scaled probabilities; everything else is the learner's own."""

    def __init__(self, learner: Learner, temperature: float) -> None:
        self.learner = learner
        self.temperature = temperature

    def predict(self, data: Data) -> Predictions:
        return scaled(self.learner.predict(data), self.learner.classes, self.temperature)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)


def with_temperature(learner: Learner, temperature: float) -> Learner:
    return learner if temperature == 1.0 else cast(Learner, Calibrated(learner, temperature))


def scaled(raw: Predictions, classes: Sequence[str], temperature: float) -> Predictions:
    """Return the predictions at this temperature. `classes`: the columns of `raw.proba`."""
    if raw.proba is None:
        return replace(raw, confidences=raw.confidences ** (1.0 / temperature))
    found = from_proba(classes, tempered(raw.proba, temperature))
    return replace(found, evidence=raw.evidence)  # the predictions of a committee's members are not scaled


def calibrate(
    learner: Learner,
    data: Data,
    labels: Sequence[str],
    rng: np.random.Generator,
    weights: Sequence[float] | None = None,
    groups: Sequence[str] | None = None,
) -> Learner:
    """Return the fitted learner, calibrated on its training set; see `calibrate_by_folds`."""
    return calibrate_by_folds(learner, data, labels, rng, weights, groups)[0]


def calibrate_by_folds(
    learner: Learner,
    data: Data,
    labels: Sequence[str],
    rng: np.random.Generator,
    weights: Sequence[float] | None = None,
    groups: Sequence[str] | None = None,
    beside: Collection[int] = (),
) -> tuple[Learner, list[Fold]]:
    """Return the fitted learner, calibrated on its training set, and the folds that it was calibrated by.

    Returns it unchanged, and no folds, if there are too few answers, or if it gives neither `proba` nor evidence.
    `groups`: answers with equal values stay in one fold; None if each answer may be in any. It fits up to FOLDS
    learners, each to most of the answers, and fewer if there are many answers. `beside`: positions that are no answers.
    They train each of these learners, unless a held-out answer has their group, and are never held out.
    """
    if not can_be_scaled(learner, data):
        return learner, []
    folds: list[Fold] = []
    answers = [i for i in range(len(labels)) if i not in beside]
    own = range(len(labels)) if groups is None else groups
    parts = _folds([labels[i] for i in answers], [own[i] for i in answers], int(rng.integers(2**31)))
    for some, held_out in ([[answers[i] for i in part] for part in fold] for fold in parts):
        if sum(len(fold.held_out) for fold in folds) >= ENOUGH:
            break
        theirs = {own[i] for i in held_out} if beside else set()
        training = sorted([*some, *(i for i in beside if own[i] not in theirs)])
        if fold := fit_fold(learner, data, labels, training, held_out, rng, weights):
            folds.append(fold)
    return with_temperature(learner, temperature_of(folds, labels)), folds


def can_be_scaled(learner: Learner, data: Data) -> bool:
    """Whether the fitted learner gives what a temperature is fitted to: probabilities, or evidence."""
    first = learner.predict(data[:1])
    return first.proba is not None or first.evidence is not None


def fit_fold(
    learner: Learner,
    data: Data,
    labels: Sequence[str],
    training: Sequence[int],
    held_out: Sequence[int],
    rng: np.random.Generator,
    weights: Sequence[float] | None = None,
) -> Fold | None:
    """Train an equal learner on some positions and predict the others; None if it cannot be trained.

    `learner` is fitted to all of them. Positions that the new one cannot read are left out, and for a classifier those
    whose label it does not know.
    """
    equal = make(learner.name, learner.params)
    some = None if weights is None else [weights[i] for i in training]
    try:
        equal.fit([data[i] for i in training], [labels[i] for i in training], rng, some)
    except (Failed, Unreadable):
        return None
    columns = set(equal.classes)
    if learner.predict(data[:1]).proba is not None:
        held_out = [i for i in held_out if labels[i] in columns]
    positions, predicted = _readable(equal, data, held_out)
    return Fold(training, positions, equal.classes, predicted)


_Logs = tuple[Floats, npt.NDArray[np.intp]]
"""Logarithms of probabilities, and the correct column of each row; or of confidences, and 0 if correct, 1 if not."""


def _logs(fold: Fold, labels: Sequence[str]) -> _Logs:
    if fold.predicted.proba is not None:
        columns = {label: column for column, label in enumerate(fold.classes)}
        return _log(fold.predicted.proba), np.array([columns[labels[i]] for i in fold.held_out], dtype=np.intp)
    incorrect = [label != labels[i] for i, label in zip(fold.held_out, fold.predicted.labels, strict=True)]
    return _log(fold.predicted.confidences), np.array(incorrect, dtype=np.intp)


def _readable(learner: Learner, data: Data, positions: Sequence[int]) -> tuple[Sequence[int], Predictions]:
    """Return the positions it can read, with its predictions: part of a table may give other columns than all of it."""
    try:
        return positions, learner.predict([data[i] for i in positions])
    except Unreadable as exc:
        positions = [i for place, i in enumerate(positions) if place not in exc.faults]
    return positions, learner.predict([data[i] for i in positions])


def tempered(proba: Floats, temperature: float) -> Floats:
    """Return the probabilities at this temperature: shape (n, k), rows sum to 1. The order within a row stays."""
    logs = _log(proba) / temperature
    found: Floats = np.exp(logs - logs.max(axis=1, keepdims=True, initial=-np.inf))
    found /= found.sum(axis=1, keepdims=True)
    return found


def temperature_of(folds: Sequence[Fold], labels: Sequence[str]) -> float:
    """Return the temperature of maximum likelihood, rounded to four decimals; 1 without folds."""
    if not folds:
        return 1.0
    logs = [_logs(fold, labels) for fold in folds]

    def unlikely(log_temperature: float) -> float:
        total = 0.0
        for log, correct in logs:
            heated = log / np.exp(log_temperature)
            if log.ndim == 1:
                heated = np.column_stack([heated, _log(-np.expm1(heated))])
            total -= float((heated[np.arange(len(correct)), correct] - logsumexp(heated, axis=1)).sum())
        return total

    found = minimize_scalar(unlikely, bounds=tuple(np.log(BOUNDS)), method="bounded")
    return round(float(np.exp(found.x)), 4)


def _folds(labels: Sequence[str], groups: Sequence[object], seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Yield positions to train on and held-out positions; none if there are too few answers or all are the same."""
    if len(labels) < MIN_ANSWERS or len(set(labels)) < 2 or len(set(groups)) < FOLDS:
        return
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    # Labels with fewer answers than folds cannot be in each fold: scikit-learn warns, and fails if all labels are rare.
    few = {label for label, n in Counter(labels).items() if n < FOLDS}
    strata = ["" if label in few else label for label in labels]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for training, held_out in folds.split(np.zeros(len(labels)), strata, list(groups)):
            yield training.tolist(), held_out.tolist()


def _log(proba: Floats) -> Floats:
    found: Floats = np.log(np.maximum(proba, SMALLEST))
    return found
