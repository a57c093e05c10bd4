"""Strategies for detectors. `scores` are the confidences of each sample's boxes: one list a sample, each 0 to 1.

The uncertainty of a box with confidence s is 1 - |2s - 1|, the margin between an object and none: near 0 the model is
as certain as near 1. Each function joins the boxes of a sample in one of the three ways of Brust, Kaeding and Denzler
2019, "Active learning for deep object detection".

Utilities in [0, 1], shape (n_samples,). A sample without boxes has utility 0, so a detector that may miss objects
should report its boxes of low confidence too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labelloop.strategies.arrays import Array, Ragged

FULLY_UNCERTAIN_BOXES = 10
"""Number of fully uncertain boxes from which the utility is 1."""
Rows = Sequence[npt.ArrayLike]


def boxes_max(scores: Rows) -> Array:
    """Uncertainty of the most uncertain box."""
    rows, uncertainty = _read(scores)
    return rows.join(np.maximum, uncertainty)


def boxes_mean(scores: Rows) -> Array:
    """Mean uncertainty of the boxes: many confident boxes hide an uncertain one."""
    rows, uncertainty = _read(scores)
    return np.clip(rows.mean(uncertainty), 0.0, 1.0)


def boxes_sum(scores: Rows) -> Array:
    """Sum of the uncertainties in tens of boxes, at most 1: it prefers pictures with many objects."""
    rows, uncertainty = _read(scores)
    return np.minimum(rows.join(np.add, uncertainty) / FULLY_UNCERTAIN_BOXES, 1.0)


def _read(scores: Rows) -> tuple[Ragged, Array]:
    rows = Ragged.of(scores, "the confidence of a box", 0.0, 1.0)
    return rows, np.asarray(1.0 - np.abs(2.0 * rows.values - 1.0))
