"""Detect whether Label Studio's preselected answer was submitted unchanged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labelloop.answers.annotations import Annotation
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.results import given

ORIGIN_PREDICTION = "prediction"
"""Value of `origin` that the editor gives a region from a prediction if nobody changed it."""
_UNMARKED = ("Pairwise", "Ranker", "Polygon", "PolygonLabels")
"""Tags whose regions keep ORIGIN_PREDICTION when a person changes them (Label Studio 1.23.2)."""


def prelabel_kept(config: LabelingConfig, annotation: Annotation, shown: Sequence[Any]) -> bool | None:
    """Return True if the preselected answer was submitted unchanged, False if the person changed it, None if there was
    none.

    `shown` are the regions of the prediction that the task had last. They reveal a removed region, which leaves no
    trace in the annotation. An answer in another control is not a change: in a form with a verdict, the guess may be in
    the correction, and the person adds the reject.
    """
    answer, before = _answer(config, annotation.result), _answer(config, shown)
    taken = {region["from_name"] for region in answer if str(region.get("origin")).startswith(ORIGIN_PREDICTION)}
    if not taken and (annotation.parent_prediction is None or not before):
        return None
    preselected = taken | {region["from_name"] for region in before}
    if any(_differs(control, answer, before) for control in config.controls if control.tag in _UNMARKED):
        return False
    origins = [region.get("origin") for region in answer if region["from_name"] in preselected]
    return bool(origins) and all(origin == ORIGIN_PREDICTION for origin in origins) and len(origins) >= len(before)


def _differs(control: ControlTag, answer: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> bool:
    """Whether the answer to this control, whose changes the editor does not mark, differs from the preselected one."""
    ours, shown = ([one for one in regions if one["from_name"] == control.name] for regions in (answer, before))
    return bool(ours and shown) and given(control, ours) != given(control, shown)


def _answer(config: LabelingConfig, regions: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the regions of the controls that hold the answer; a comment does not change the answer."""
    controls = (config.answer, config.verdict, config.correction, config.quick)
    # from_name may have any JSON type, so that a set would not do
    ours = [name for control in controls if control is not None for name in control.names]
    return [region for region in regions if isinstance(region, dict) and region.get("from_name") in ours]
