"""Label Studio's results: encode our prelabel as one, and decode a reviewer's. One file for each control tag.

Anybody can post any result through Label Studio's API, so reading accepts every JSON value. A value that does not fit
the labeling config is no answer, never an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from labelloop.labeling.config import APPROVE, REJECT, LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds import nearest_answer, of, stored
from labelloop.labeling.results import (
    choices,
    datetime,
    form,
    labels,
    marks,
    number,
    other,
    pairwise,
    ranker,
    rating,
    relations,
    segments,
    taxonomy,
    textarea,
    tracks,
)
from labelloop.labeling.results import regions as image_regions
from labelloop.labeling.results.units import in_characters, in_units

RELATION = "relation"
"""Type of a relation between two regions of a result, which has no `from_name`."""


class Codec(Protocol):
    """Functions of each module of this folder: decode(control, encode(control, answer)) == answer.

    This holds for every answer that the control can give.
    """

    def encode(self, control: ControlTag, answer: str) -> list[dict[str, Any]]:
        """Return the type and value of each region; [] if the answer is empty.

        `from_name`, `to_name` and `id` are added if a region does not have them. Regions that belong together, such as
        a box and the text about it, have one id.
        """

    def decode(self, control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
        """Return the answer in the regions of `control.names`, the newest last.

        Returns None or raises ValueError if the control cannot give such an answer.
        """


CODECS: dict[str, Codec] = {
    "Choices": choices,
    "Labels": labels,
    "Number": number,
    "Rating": rating,
    "Taxonomy": taxonomy,
    "TextArea": textarea,
    "Pairwise": pairwise,
    "Ranker": ranker,
    "DateTime": datetime,
    "Relations": relations,
    "": form,
}
"""Codec by control tag, "" for the answer to several controls. `other` reads a tag that is not here."""
BY_KIND: dict[Kind, Codec] = {
    Kind.REGIONS: image_regions,
    Kind.SEGMENTS: segments,
    Kind.MARKS: marks,
    Kind.TRACKS: tracks,
}
"""Codec by kind of answer, for kinds that several tags give; it comes before the one of the tag."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reviewer's answer about one output. None if the reviewer did not answer that part."""

    label: str | None = None
    """The label according to the reviewer: the model's own, or the correction."""
    approval: bool | None = None
    correction: str | None = None
    """The correct label according to the reviewer; None unless the output was rejected."""
    comment: str | None = None


def encode(
    config: LabelingConfig, label: str | None, model_label: str | None, data: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Encode `label` as a prediction's result; [] if there is no label or the form cannot express it.

    A label that the form can express in part is encoded in part. A number is moved to the nearest step within its
    bounds; labels that the form does not have are left out. A word of the config's `predicted_values` counts as its
    label.

    `model_label` is the output's own label, which a form with a verdict is about. Another label is encoded as a reject
    with a correction. `data` are those of the item; with None, offsets in dialogues are not converted
    (labelloop/labeling/results/units.py).
    """
    return in_units(config, _encode(config, label, model_label), data)


def _encode(config: LabelingConfig, label: str | None, model_label: str | None) -> list[dict[str, Any]]:
    answer = _expressible(config, label)
    if answer is None:
        return []
    if config.verdict is None:
        return regions_of(config.answer, answer)
    if answer == _expressible(config, model_label):
        return regions_of(config.verdict, APPROVE)
    if config.correction is None:
        return regions_of(config.verdict, REJECT)
    return regions_of(config.verdict, REJECT) + regions_of(config.correction, answer)


def preselect(
    config: LabelingConfig, label: str | None, model_label: str | None, data: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Return the selection that the form shows before a person answers: the guess `label` as a prediction's result.

    It equals `encode`, except in a form with a verdict, which is about the pipeline's output (`model_label`). If the
    guess is another label, the verdict is left to the person, and the guess is preselected in the correction that a
    reject opens. So a page shows one guess, and nobody rejects an output by submitting an untouched page.

    A time alone is not preselected: Label Studio 1.23.2 loses it if a person changes it.
    """
    answer = _expressible(config, label)
    if config.verdict is None or answer == _expressible(config, model_label):
        regions = encode(config, label, model_label, data)
    elif answer is None or config.correction is None:
        regions = []
    else:
        regions = in_units(config, regions_of(config.correction, answer), data)
    lost = [control.name for control in config.controls if control.tag == "DateTime" and control.only == "time"]
    return [region for region in regions if region.get("from_name") not in lost]


def imported(config: LabelingConfig, result: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a pipeline's own result in the form that both Label Studio's import and its editor accept.

    Nested choices are written in both of their ways. A key point gets a width, without which the editor loses it.
    """
    nested = {control.name: control for control in config.controls if control.nested}
    return [_imported(nested.get(region.get("from_name", "")), region) for region in result]


def _imported(control: ControlTag | None, region: Mapping[str, Any]) -> dict[str, Any]:
    if str(region.get("type")).lower().startswith("keypoint") and isinstance(region.get("value"), dict):
        return {**region, "value": {"width": image_regions.POINT_WIDTH, **region["value"]}}
    chosen = None if control is None else given(control, [region])
    if control is None or not chosen:
        return dict(region)
    regions = codec_of(control).encode(control, chosen)
    return {**region, "value": {**region["value"], **(regions[0]["value"] if regions else {})}}


def read(
    config: LabelingConfig, result: object, model_label: str | None, data: Mapping[str, Any] | None = None
) -> Reading:
    """Read the reviewer's answer from a result. `model_label` is the output's own label; with None there is nothing to
    approve. `data` are those of the item: an answer that cannot be about them, such as a span beyond the text, is none.

    With a verdict, approve means the model's label, and reject means the correction. Without a verdict, the label is
    the chosen one, and it is an approval if it equals the model's label as far as the form can express that.
    """
    model = _expressible(config, model_label)
    if model is None and config.kind is Kind.LABEL:
        model = model_label  # the form may no longer have it
    result = in_characters(config, result, data)
    comment = given(config.comment, result)
    if config.verdict is None:
        label = _chosen(config, result, data)
        if label is None or model is None:
            return Reading(label=label, comment=comment)
        approval = label == model
        return Reading(label, approval, None if approval else label, comment)
    verdict = given(config.verdict, result)
    if verdict == APPROVE:
        return Reading(model, True, None, comment)
    if verdict == REJECT:
        correction = None if config.correction is None else _chosen(config, result, data)
        return Reading(correction, False, correction, comment)
    return Reading(comment=comment)


def _chosen(config: LabelingConfig, result: object, data: Mapping[str, Any] | None) -> str | None:
    label = given(config.answer, result, data)
    return label if label is not None else given(config.quick, result)


def _expressible(config: LabelingConfig, label: str | None) -> str | None:
    if label is None or config.answer is config.verdict:  # the choices of a verdict are not labels
        return label
    return nearest_answer(config.answer, label)


def needs_data(config: LabelingConfig) -> bool:
    """Whether reading an answer needs the item's data: for offsets in dialogues, and to see whether a span fits."""
    return any(control.kind in (Kind.SPANS, Kind.MARKS) or control.over == "TimeSeries" for control in config.controls)


def codec_of(control: ControlTag) -> Codec:
    """Return the codec that reads this control's regions."""
    codec = BY_KIND.get(control.kind) or CODECS.get(control.tag)
    return other if codec is None or control.kind is Kind.OTHER else codec


def regions_of(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    """Return the regions of an answer to this control, as a prediction's result holds them."""
    regions = codec_of(control).encode(control, answer)
    # The id must only be unique within one result; Label Studio keeps it on the annotation.
    return [
        region
        if region.get("type") == RELATION
        else {"id": f"labelloop-{control.name}{f'-{i}' if i else ''}", "from_name": control.name}
        | ({} if "to_name" in region or control.parts else {"to_name": control.objects[0]})
        | region
        for i, region in enumerate(regions)
    ]


def of_control(control: ControlTag, regions: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the regions of a result that belong to the answer to this control, in their order."""
    names, related = control.names, any(part.between for part in (control, *control.parts))
    return [
        region
        for region in regions  # from_name may have any JSON type
        if isinstance(region, dict)
        and (region.get("from_name") in names or (related and region.get("type") == RELATION))
    ]


def decoded(
    control: ControlTag, regions: Sequence[Mapping[str, Any]], data: Mapping[str, Any] | None = None
) -> str | None:
    """Return the answer in these regions. Returns None or raises ValueError as `Codec.decode` does.

    With the item's `data` it also raises ValueError if the answer cannot be about them.
    """
    answer = codec_of(control).decode(control, regions)
    if answer is not None:
        stored(control, answer)
    if answer is not None and data is not None:
        of(control).fits(control, answer, data)
    return answer


def given(control: ControlTag | None, result: object, data: Mapping[str, Any] | None = None) -> str | None:
    """Return the answer of this control in a result; None if there is none. `data` as in `decoded`.

    If the control has one region at a time, the newest region counts.
    """
    if control is None or not isinstance(result, list):
        return None
    try:
        return decoded(control, of_control(control, result), data)
    except ValueError:
        return None
