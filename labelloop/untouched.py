"""Whether what Label Studio preselected was submitted as it was; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labelloop.annotations import Annotation
from labelloop.labeling import LabelingConfig

KEPT = "prediction"
"""What the editor writes as the `origin` of a region that it took from a prediction and that nobody changed."""


def prelabel_kept(config: LabelingConfig, annotation: Annotation, shown: Sequence[Any]) -> bool | None:
    """True if the answer is what was preselected, untouched; False if the person changed it; None if nothing was.

    `shown`: the regions of the prediction that the task was last given. By them it is seen that a region was taken
    away, which leaves no trace in the annotation.
    """
    origins = [region.get("origin") for region in _answer(config, annotation.result)]
    before = _answer(config, shown)
    began = any(str(origin).startswith(KEPT) for origin in origins)
    if not began and (annotation.parent_prediction is None or not before):
        return None
    return began and all(origin == KEPT for origin in origins) and len(origins) >= len(before)


def _answer(config: LabelingConfig, regions: Sequence[Any]) -> list[dict[str, Any]]:
    """The regions of the controls that hold the answer: a comment changes nothing of it."""
    ours = {control.name for control in (config.answer, config.verdict, config.correction) if control is not None}
    return [region for region in regions if isinstance(region, dict) and region.get("from_name") in ours]
