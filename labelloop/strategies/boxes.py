"""Strategies for detectors: for each sample the scores of its boxes, one list a sample, each score 0 to 1.

A box of score s is in doubt by 1 - |2s - 1|, the margin between an object and none: a score near 0 is as sure as one
near 1. The name says how the boxes of a sample are joined, the three ways of Brust, Kaeding and Denzler 2019, "Active
learning for deep object detection". Utilities in [0, 1], shape (n_samples,). A sample without boxes has nothing to ask
about: 0, so a detector that may miss things should report its low scores too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labelloop.strategies.arrays import Array, Ragged

FULL = 10
"""So many boxes of full doubt are as useful as it gets."""
Rows = Sequence[npt.ArrayLike]


def boxes_max(scores: Rows) -> Array:
    """The doubt of the most doubtful box."""
    rows, doubt = _read(scores)
    return rows.join(np.maximum, doubt)


def boxes_mean(scores: Rows) -> Array:
    """The mean doubt of the boxes: many sure ones hide a doubtful one."""
    rows, doubt = _read(scores)
    return np.clip(rows.mean(doubt), 0.0, 1.0)


def boxes_sum(scores: Rows) -> Array:
    """The doubt of all boxes together, in tens of boxes and at most 1: prefers pictures with much in them."""
    rows, doubt = _read(scores)
    return np.minimum(rows.join(np.add, doubt) / FULL, 1.0)


def _read(scores: Rows) -> tuple[Ragged, Array]:
    rows = Ragged.of(scores, "the score of a box", 0.0, 1.0)
    return rows, np.asarray(1.0 - np.abs(2.0 * rows.values - 1.0))
