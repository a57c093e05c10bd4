"""Teach: a learner is fitted to a run's answers and calibrated on them, by the run and by its replay alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backend.learners import Learner
from backend.train.search import weights_of
from labelloop.spec.learners import facts_of
from labelloop.versions.items import TrainingItem


def teach(learner: Learner, rows: Sequence[TrainingItem], seed: int) -> Learner:
    """The learner, taught these answers (data, label, weight, group_key); the same rows and seed give the same bytes.

    Raises Failed where there is nothing to learn. A model of others says itself how sure it is.
    """
    from backend.learners.calibrate import calibrate

    data, labels = [row.data for row in rows], [row.label for row in rows]
    rng, weights = np.random.default_rng(seed), weights_of(rows)
    learner.fit(data, labels, rng, weights)
    if facts_of(learner.name).takes_form:
        return learner
    return calibrate(learner, data, labels, rng, weights, [row.group_key for row in rows])
