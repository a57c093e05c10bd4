"""Out-of-fold predictions: each training answer as seen by a model that was not trained on it.

A model that was trained on an answer rarely doubts it. So second opinions are chosen by these predictions. They come
from the folds of calibration, and from further folds for the answers that calibration left out, or predicted by a model
that knew a near-duplicate. The version of the run stays the same, byte for byte.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from backend.learners import Learner
from backend.score.doubts import Support, supports
from backend.train.groups import related
from backend.train.weights import weights_of
from labelloop.spec.learners import facts_of
from labelloop.versions.items import TrainingItem

if TYPE_CHECKING:
    from backend.learners.calibrate import Fold

logger = logging.getLogger(__name__)
Ints = npt.NDArray[np.int64]
Report = Callable[[int, int], None]
"""Called with the number of folds done, and the number of all further folds."""
TIME_SHARE = 0.3
"""Share of the run's time for the further folds."""
RESERVE = 0.2
"""Share of the run's time that the further folds leave for the verdict."""


def end_of_folds(began: float, now: float, limit_s: float) -> float:
    """Return the time at which the further folds of a run must end. `began`: start of the run; `limit_s`: its limit."""
    return min(now + TIME_SHARE * limit_s, began + (1 - RESERVE) * limit_s)


def out_of_fold(
    learner: Learner,
    rows: Sequence[TrainingItem],
    folds: Sequence[Fold],
    seed: int,
    ends: float | None,
    fit_s: float = 0.0,
    report: Report = lambda done, of: None,
) -> list[Support | None]:
    """Return for each row the support of its answer by a model that saw neither it nor a related answer.

    None if there is no such model. The user's own and remote models are not trained again, and a label that only
    related answers have is unknown to the others. Accepted outputs among the rows are no answers: they train those
    models, and get None. `folds`: those of calibration. Further ones are fitted until `ends`,
    a time of time.monotonic(); none if that is None. `fit_s`: seconds that a fit takes. The same rows and seed give the
    same predictions if the time suffices.
    """
    from backend.learners.calibrate import FOLDS, fit_fold

    if facts_of(learner.name).takes_form:
        return [None] * len(rows)
    data, labels, weights = [row.data for row in rows], [row.label for row in rows], weights_of(rows)
    groups = related(rows, learner.params.get("field"))
    found = [_without_related(fold, groups) for fold in folds]
    predicted = np.array([row.answer_seq is None for row in rows], dtype=bool)
    for fold in found:
        predicted[list(fold.held_out)] = True
    rng = np.random.default_rng([seed, 2])
    more = [] if ends is None else further_folds(labels, groups, ~predicted, FOLDS, rng)
    for done, (training, held_out) in enumerate(more):
        began = time.monotonic()
        if ends is not None and began + fit_s > ends:
            logger.info("no time for %d of %d more folds: their answers have no doubt", len(more) - done, len(more))
            break
        report(done, len(more))
        if (one := fit_fold(learner, data, labels, training, held_out, rng, weights)) is not None:
            found.append(one)
        fit_s = max(fit_s, time.monotonic() - began)
    return _supports(found, labels)


def further_folds(
    labels: Sequence[str], groups: Ints, wanted: npt.NDArray[np.bool_], parts: int, rng: np.random.Generator
) -> list[tuple[list[int], list[int]]]:
    """Return positions to train on and held-out positions, so that each wanted position is held out once.

    A fold holds out whole groups, about 1/`parts` of all positions, with each label in proportion. None are returned if
    all positions belong to one group.
    """
    if not wanted.any() or len(np.unique(groups)) < 2:
        return []
    parts = max(1, int(np.ceil(parts * wanted.sum() / len(wanted))))
    codes = np.unique(labels, return_inverse=True)[1]
    names, first = np.unique(groups[wanted], return_index=True)
    if len(names) == len(np.unique(groups)):
        parts = max(parts, 2)
    # In the order of the labels, each next group goes to the next fold.
    order = np.lexsort((rng.random(len(names)), codes[wanted][first]))
    part = np.full(int(groups.max()) + 1, -1)
    part[names[order]] = np.arange(len(names)) % parts
    part_of_row = part[groups]
    return [
        (np.flatnonzero(part_of_row != p).tolist(), np.flatnonzero((part_of_row == p) & wanted).tolist())
        for p in range(parts)
        if (part == p).any()
    ]


def _without_related(fold: Fold, groups: Ints) -> Fold:
    """Return the fold with only those held-out answers to which no training answer is related."""
    known = np.zeros(int(groups.max()) + 1, dtype=bool)
    known[groups[list(fold.training)]] = True
    return _part(fold, np.flatnonzero(~known[groups[list(fold.held_out)]]))


def _part(fold: Fold, rows: Ints) -> Fold:
    """Return the fold with only these rows of its predictions."""
    raw = fold.predicted
    predicted = replace(
        raw,
        labels=[raw.labels[row] for row in rows],
        confidences=raw.confidences[rows],
        proba=None if raw.proba is None else raw.proba[rows],
        evidence=None if raw.evidence is None else [raw.evidence[row] for row in rows],
    )
    return replace(fold, held_out=[fold.held_out[row] for row in rows], predicted=predicted)


def _supports(folds: Sequence[Fold], labels: Sequence[str]) -> list[Support | None]:
    """Return the support of each answer. Each fold is calibrated by the other folds alone, never by its own answers."""
    from backend.learners.calibrate import ENOUGH, MIN_ANSWERS, scaled, temperature_of

    found: list[Support | None] = [None] * len(labels)
    samples = [_part(fold, _evenly(len(fold.held_out), ENOUGH)) for fold in folds]
    for i, fold in enumerate(folds):
        predicted = fold.predicted
        if (predicted.proba is not None or predicted.evidence is not None) and len(labels) >= MIN_ANSWERS:
            others = [*samples[:i], *samples[i + 1 :]]
            predicted = scaled(predicted, fold.classes, temperature_of(others, labels))
        answers = [labels[position] for position in fold.held_out]
        for position, support in zip(fold.held_out, supports(fold.classes, predicted, answers), strict=True):
            found[position] = support
    return found


def _evenly(n: int, most: int) -> Ints:
    """Return at most `most` positions of n, evenly spaced."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)
