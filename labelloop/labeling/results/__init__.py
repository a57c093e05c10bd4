"""Label Studio's results: our prelabel encoded as one, and a reviewer's decoded; a file for each control tag.

Anybody can post any result through Label Studio's API, so reading takes every JSON value: what does not fit the
labeling config is no answer, never an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from labelloop.labeling.config import APPROVE, REJECT, LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.results import choices, labels, number, rating, taxonomy, textarea
from labelloop.labeling.structured import sayable


class Codec(Protocol):
    """What a file of this folder gives. decode(control, values of encode(control, answer)) == answer, for every answer
    that the control can give.
    """

    def encode(self, control: ControlTag, answer: str) -> list[dict[str, Any]]:
        """Type and value of each region; [] where the answer is that there is none."""

    def decode(self, control: ControlTag, values: Sequence[Mapping[str, Any]]) -> str | None:
        """`values` of the control's regions, the newest last. None, or a ValueError, where they are no answer that this
        control can give.
        """


CODECS: dict[str, Codec] = {
    "Choices": choices,
    "Labels": labels,
    "Number": number,
    "Rating": rating,
    "Taxonomy": taxonomy,
    "TextArea": textarea,
}


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

    What the form can say in part it says: a number is brought to the nearest step within its bounds, labels that
    it does not have are left out. `model_label` is the output's own, which a form with a verdict is about: another
    label is a reject with a correction. A label may be said in a word of the config's `predicted_values`.
    """
    answer = _sayable(config, label)
    if answer is None:
        return []
    if config.verdict is None:
        return _regions(config.answer, answer)
    if answer == _sayable(config, model_label):
        return _regions(config.verdict, APPROVE)
    if config.correction is None:
        return _regions(config.verdict, REJECT)
    return _regions(config.verdict, REJECT) + _regions(config.correction, answer)


def preselect(config: LabelingConfig, label: str | None, model_label: str | None) -> list[dict[str, Any]]:
    """Return what the form shows before a person answers: the guess `label` as a prediction's result.

    As `encode`, except in a form with a verdict, which is about the pipeline's output (`model_label`). Where the guess
    is another label, the verdict is left to the person, and the guess is ticked in the correction that a reject opens.
    So a page shows one guess, and nobody rejects an output by submitting an untouched page.
    """
    if config.verdict is None or _sayable(config, label) == _sayable(config, model_label):
        return encode(config, label, model_label)
    answer = _sayable(config, label)
    return [] if answer is None or config.correction is None else _regions(config.correction, answer)


def imported(config: LabelingConfig, result: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A pipeline's own result as Label Studio imports it and its editor shows it: nested choices are put both ways."""
    nested = {control.name: control for control in config.controls if control.nested}
    return [_imported(nested.get(region.get("from_name", "")), region) for region in result]


def _imported(control: ControlTag | None, region: Mapping[str, Any]) -> dict[str, Any]:
    chosen = None if control is None else _value(control, [region])
    if control is None or not chosen:
        return dict(region)
    regions = CODECS[control.tag].encode(control, chosen)
    return {**region, "value": {**region["value"], **(regions[0]["value"] if regions else {})}}


def read(config: LabelingConfig, result: object, model_label: str | None) -> Reading:
    """What a result says. `model_label` is the output's own label: None, and there is nothing to approve.

    With a verdict, approve makes the model's label the label, and reject the correction. Without one the label is what
    was chosen, and it is an approval when it equals the model's, as far as the form can say that.
    """
    model = _sayable(config, model_label)
    if model is None and config.kind is Kind.LABEL:
        model = model_label  # which the form may have no more
    comment = _value(config.comment, result)
    if config.verdict is None:
        label = _chosen(config, result)
        if label is None or model is None:
            return Reading(label=label, comment=comment)
        approval = label == model
        return Reading(label, approval, None if approval else label, comment)
    verdict = _value(config.verdict, result)
    if verdict == APPROVE:
        return Reading(model, True, None, comment)
    if verdict == REJECT:
        correction = None if config.correction is None else _chosen(config, result)
        return Reading(correction, False, correction, comment)
    return Reading(comment=comment)


def _chosen(config: LabelingConfig, result: object) -> str | None:
    label = _value(config.answer, result)
    return label if label is not None else _value(config.quick, result)


def _sayable(config: LabelingConfig, label: str | None) -> str | None:
    if label is None or config.answer is config.verdict:  # whose choices are no labels
        return label
    return sayable(config.answer, label)


def _regions(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    where = {"from_name": control.name, "to_name": control.objects[0]}
    # The id only has to be its own within one result; Label Studio keeps it on the annotation.
    return [
        {"id": f"labelloop-{control.name}{f'-{i}' if i else ''}", **where, **region}
        for i, region in enumerate(CODECS[control.tag].encode(control, answer))
    ]


def _value(control: ControlTag | None, result: object) -> str | None:
    """The answer of this control; of one that has one region a later one replaces an earlier one."""
    if control is None or not isinstance(result, list):
        return None
    regions = [region for region in result if isinstance(region, dict) and region.get("from_name") == control.name]
    values = [value if isinstance(value := region.get("value"), dict) else {} for region in regions]
    try:
        return CODECS[control.tag].decode(control, values)
    except ValueError:
        return None
