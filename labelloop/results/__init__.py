"""Label Studio's results: our prelabel encoded as one, and a reviewer's decoded; a file for each control tag.

Anybody can post any result through Label Studio's API, so reading takes every JSON value: what does not fit the
labeling config is no answer, never an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from labelloop.labeling import APPROVE, REJECT, ControlTag, LabelingConfig
from labelloop.results import choices, textarea


class Codec(Protocol):
    """What a file of this folder gives. decode(control, encode(control, label)) == label."""

    def encode(self, control: ControlTag, label: str) -> dict[str, Any]:
        """The region's type and value."""

    def decode(self, control: ControlTag, value: dict[str, Any]) -> str | None:
        """None where the value is not one answer that this control can give."""


CODECS: dict[str, Codec] = {"Choices": choices, "TextArea": textarea}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reviewer says about one output. None: not said."""

    label: str | None = None
    """What the label is: the model's own, or the correction."""
    approval: bool | None = None
    correction: str | None = None
    """The label it should have been; only where it was not approved."""
    comment: str | None = None


def encode(config: LabelingConfig, label: str | None, model_label: str | None) -> list[dict[str, Any]]:
    """`label` as a prediction's result; [] where there is none, or the form cannot say it.

    `model_label` is the output's own, which a form with a verdict is about: another label is a reject with a
    correction. A label may be said in a word of the config's `predicted_values`.
    """
    label = None if label is None else config.answer.shown(label)
    if label is None or (config.labels and label not in config.labels):
        return []
    if config.verdict is None:
        return [_region(config.answer, label)]
    if label == model_label:
        return [_region(config.verdict, APPROVE)]
    if config.correction is None:
        return [_region(config.verdict, REJECT)]
    return [_region(config.verdict, REJECT), _region(config.correction, label)]


def read(config: LabelingConfig, result: object, model_label: str | None) -> Reading:
    """What a result says. `model_label` is the output's own label: None, and there is nothing to approve.

    With a verdict, approve makes the model's label the label, and reject the correction. Without one the label is what
    was chosen, and it is an approval when it equals the model's.
    """
    comment = _value(config.comment, result)
    if config.verdict is None:
        label = _value(config.answer, result)
        if label is None or model_label is None:
            return Reading(label=label, comment=comment)
        approval = label == model_label
        return Reading(label, approval, None if approval else label, comment)
    verdict = _value(config.verdict, result)
    if verdict == APPROVE:
        return Reading(model_label, True, None, comment)
    if verdict == REJECT:
        correction = _value(config.correction, result)
        return Reading(correction, False, correction, comment)
    return Reading(comment=comment)


def _region(control: ControlTag, label: str) -> dict[str, Any]:
    # The id only has to be its own within one result; Label Studio keeps it on the annotation.
    where = {"id": f"labelloop-{control.name}", "from_name": control.name, "to_name": control.to_name}
    return {**where, **CODECS[control.tag].encode(control, label)}


def _value(control: ControlTag | None, result: object) -> str | None:
    """The newest answer of this control; a later region replaces an earlier one."""
    if control is None or not isinstance(result, list):
        return None
    for region in reversed(result):
        if isinstance(region, dict) and region.get("from_name") == control.name:
            value = region.get("value")
            return CODECS[control.tag].decode(control, value) if isinstance(value, dict) else None
    return None
