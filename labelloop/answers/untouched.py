"""Whether what Label Studio preselected was submitted as it was; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labelloop.answers.annotations import Annotation
from labelloop.labeling.config import LabelingConfig

ORIGIN_PREDICTION = "prediction"
"""What the editor writes as the `origin` of a region that it took from a prediction and that nobody changed."""


def prelabel_kept(config: LabelingConfig, annotation: Annotation, shown: Sequence[Any]) -> bool | None:
    """True if what was preselected was submitted untouched; False if the person changed it; None if nothing was.

    `shown`: the regions of the prediction that the task was last given. By them it is seen that a region was taken
    away, which leaves no trace in the annotation. What the person had to add in another control is no change: in a form
    with a verdict the guess may stand in the correction, and the person says reject.
    """
    answer, before = _answer(config, annotation.result), _answer(config, shown)
    taken = {region["from_name"] for region in answer if str(region.get("origin")).startswith(ORIGIN_PREDICTION)}
    if not taken and (annotation.parent_prediction is None or not before):
        return None
    preselected = taken | {region["from_name"] for region in before}
    origins = [region.get("origin") for region in answer if region["from_name"] in preselected]
    return bool(origins) and all(origin == ORIGIN_PREDICTION for origin in origins) and len(origins) >= len(before)


def _answer(config: LabelingConfig, regions: Sequence[Any]) -> list[dict[str, Any]]:
    """The regions of the controls that hold the answer: a comment changes nothing of it."""
    controls = (config.answer, config.verdict, config.correction, config.quick)
    ours = [control.name for control in controls if control is not None]  # from_name may be of any JSON type
    return [region for region in regions if isinstance(region, dict) and region.get("from_name") in ours]
