"""Calibrate: a learner's probabilities tempered, so that of what it is 80 % sure of 80 % are right.

Temperature scaling: the logarithms of the probabilities are divided by one number, which changes no label. It is fitted
to what the like of the learner says of answers that it was not taught, by cross-validation within the training cut; the
hold-out has no part in it. Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.

Of several labels and of spans it is the logarithm of the confidence, the chance that the whole answer is right. Numbers
say their own chance, from answers that members of the ensemble were not taught.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
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
"""Fewer say too little of how sure is too sure."""
FOLDS = 5
ENOUGH = 400
"""Answers that were not taught and say what the temperature is: with so many the folds that are left are not fitted."""
SMALLEST = 1e-12
"""Of a probability, so that it has a logarithm."""
BOUNDS = 0.05, 20.0
"""Of the temperature; below 1 it makes surer."""
Data = Sequence[Mapping[str, object]]


class Calibrated:
    """A fitted learner whose probabilities are tempered; all else is its own."""

    def __init__(self, learner: Learner, temperature: float) -> None:
        self.learner = learner
        self.temperature = temperature

    def predict(self, data: Data) -> Predictions:
        said = self.learner.predict(data)
        if said.proba is None:
            return replace(said, confidences=said.confidences ** (1.0 / self.temperature))
        sure = from_proba(self.learner.classes, tempered(said.proba, self.temperature))
        return replace(sure, evidence=said.evidence)  # what a committee's members dispute stays as they said it

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learner, name)


def with_temperature(learner: Learner, temperature: float) -> Learner:
    return learner if temperature == 1.0 else cast(Learner, Calibrated(learner, temperature))


def calibrate(
    learner: Learner,
    data: Data,
    labels: Sequence[str],
    rng: np.random.Generator,
    weights: Sequence[float] | None = None,
    groups: Sequence[str] | None = None,
) -> Learner:
    """The fitted learner, calibrated on what it was taught; itself where that is too little, or it has neither `proba`
    nor evidence.

    `groups`: what must not be parted; each answer is its own where None. It takes FOLDS fits to most of the answers,
    and one where there are many.
    """
    first = learner.predict(data[:1])
    if first.proba is None and first.evidence is None:
        return learner
    logs: list[tuple[Floats, npt.NDArray[np.intp]]] = []
    for taught, left in _folds(labels, groups, int(rng.integers(2**31))):
        if sum(len(right) for _, right in logs) >= ENOUGH:
            break
        some = None if weights is None else [weights[i] for i in taught]
        like = make(learner.name, learner.params)
        try:
            like.fit([data[i] for i in taught], [labels[i] for i in taught], rng, some)
        except (Failed, Unreadable):
            continue
        columns = {label: column for column, label in enumerate(like.classes)}
        held = [i for i in left if first.proba is None or labels[i] in columns]
        held, said = _readable(like, data, held)
        if said.proba is not None:
            logs.append((_log(said.proba), np.array([columns[labels[i]] for i in held], dtype=np.intp)))
        else:
            wrong = [label != labels[i] for i, label in zip(held, said.labels, strict=True)]
            logs.append((_log(said.confidences), np.array(wrong, dtype=np.intp)))
    return with_temperature(learner, _temperature(logs)) if logs else learner


def _readable(learner: Learner, data: Data, positions: list[int]) -> tuple[list[int], Predictions]:
    """What it says of those that it can read: a table that was seen in part has other columns than all of it."""
    try:
        return positions, learner.predict([data[i] for i in positions])
    except Unreadable as exc:
        positions = [i for place, i in enumerate(positions) if place not in exc.faults]
    return positions, learner.predict([data[i] for i in positions])


def tempered(proba: Floats, temperature: float) -> Floats:
    """Shape (n, k), rows sum to 1; the order of a row's columns stays."""
    logs = _log(proba) / temperature
    found: Floats = np.exp(logs - logs.max(axis=1, keepdims=True, initial=-np.inf))
    found /= found.sum(axis=1, keepdims=True)
    return found


def _temperature(logs: Sequence[tuple[Floats, npt.NDArray[np.intp]]]) -> float:
    """That which makes what was right most likely, to four digits: of a row of labels the label, of a confidence 0 for
    right and 1 for wrong.
    """

    def unlikely(log_temperature: float) -> float:
        total = 0.0
        for log, right in logs:
            scaled = log / np.exp(log_temperature)
            if log.ndim == 1:
                scaled = np.column_stack([scaled, _log(-np.expm1(scaled))])
            total -= float((scaled[np.arange(len(right)), right] - logsumexp(scaled, axis=1)).sum())
        return total

    found = minimize_scalar(unlikely, bounds=tuple(np.log(BOUNDS)), method="bounded")
    return round(float(np.exp(found.x)), 4)


def _folds(labels: Sequence[str], groups: Sequence[str] | None, seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Positions to teach and positions to ask; none where the answers are too few, or all say one thing."""
    if len(labels) < MIN_ANSWERS or len(set(labels)) < 2 or len(set(groups or range(len(labels)))) < FOLDS:
        return
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    own = list(range(len(labels))) if groups is None else list(groups)
    # Labels with fewer answers than folds cannot be in all of them: scikit-learn warns, and refuses where all are so.
    few = {label for label, n in Counter(labels).items() if n < FOLDS}
    strata = ["" if label in few else label for label in labels]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for taught, held in folds.split(np.zeros(len(labels)), strata, own):
            yield taught.tolist(), held.tolist()


def _log(proba: Floats) -> Floats:
    found: Floats = np.log(np.maximum(proba, SMALLEST))
    return found
