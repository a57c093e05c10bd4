"""Fitting: train a learner on a run's answers and calibrate it on them. A run and its replay both use it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backend.learners import Learner
from backend.train.weights import weights_of
from labelloop.spec.learners import facts_of
from labelloop.versions.items import TrainingItem

if TYPE_CHECKING:
    from backend.learners.calibrate import Fold


def fit_and_calibrate(learner: Learner, rows: Sequence[TrainingItem], seed: int) -> tuple[Learner, list[Fold]]:
    """Return the learner, trained on these answers (data, label, weight, group_key), and the folds of calibration.

    Accepted outputs among the rows train it too. They are no answers, so it is calibrated on the others alone. The same
    rows and seed give the same bytes. The user's own or remote models give their own confidence and are not
    calibrated. Raises Failed if there is nothing to learn.
    """
    from backend.learners.calibrate import calibrate_by_folds

    data, labels = [row.data for row in rows], [row.label for row in rows]
    rng, weights = np.random.default_rng(seed), weights_of(rows)
    learner.fit(data, labels, rng, weights)
    if facts_of(learner.name).takes_form:
        return learner, []
    beside = frozenset(i for i, row in enumerate(rows) if row.answer_seq is None)
    return calibrate_by_folds(learner, data, labels, rng, weights, [row.group_key for row in rows], beside)
