"""modAL with a fix: its last release, of 2023, passes an argument that scikit-learn has renamed since."""

from __future__ import annotations

from typing import Any

import modAL.models.learners
from modAL.models import ActiveLearner, Committee
from sklearn.utils import check_X_y

__all__ = ["ActiveLearner", "Committee"]


def _check(*args: Any, force_all_finite: bool = True, **kwargs: Any) -> Any:
    return check_X_y(*args, ensure_all_finite=force_all_finite, **kwargs)


modAL.models.learners.check_X_y = _check
