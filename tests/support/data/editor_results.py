"""Regions as Label Studio's editor writes them, made by hand for each control tag: not by our own encoders.

They follow what the editor of 1.23.2 was seen to write, or what its source writes for the tags that only the Enterprise
edition shows.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import PATH, SHAPES, ControlTag, Kind

Region = dict[str, Any]
_SIZE = {"original_width": 640, "original_height": 480, "image_rotation": 0}
_OF_MASK = {"original_width": 6, "original_height": 4, "image_rotation": 0}


class Hand(NamedTuple):
    """A person's way to use the controls."""

    moved: int
    """How far the marks are moved: each kind has its own unit."""
    other: bool
    """Whether it is another choice, text, number, order and span."""


FIRST, SECOND, AGREED = Hand(0, False), Hand(2, True), Hand(1, False)
"""Two people who differ, and what they agree on: the marks between theirs. In everything else the first one is
right. Two texts are close enough to agree; a choice, a number, an order and a span take a third person who says so.
"""


def _place(shape: str, hand: Hand) -> Region:
    if shape == "rectangle":
        return {"x": 10 + 2 * hand.moved, "y": 20, "width": 30, "height": 40, "rotation": 0}
    if shape == "polygon":
        return {"points": [[10, 10], [40, 10], [40, 62 if hand.other else 60]], "closed": True}
    if shape == "ellipse":
        return {"x": 50 + hand.moved, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0}
    return {"x": 12 + hand.moved / 5, "y": 34, "width": 0.5}


_DRAWN = ("rectangle", "polygon", "ellipse", "keypoint")
_MASK = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 254, 27, 0, 0]
"""A rectangle in an image of 6 x 4 pixels, as the SDK's own converter (mask2rle) writes it."""
ITEMS = [{"id": one, "title": one, "body": one, "html": one} for one in ("a", "b", "c")]
DIALOGUE = [
    {"author": "Alice", "role": "user", "text": "Hello there, Bob.", "content": "Hello there, Bob."},
    {"author": "Bob", "role": "assistant", "text": "Good day, Alice.", "content": "Good day, Alice."},
]


TIED = (Kind.LABEL, Kind.LABELS, Kind.NUMBER, Kind.ORDER, Kind.DATE, Kind.SPANS)
"""Kinds of which two different answers have no middle: two people who differ agree on nothing."""


def data_for(config: LabelingConfig, sample: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template's sample data, completed by content that can be marked."""
    data = {name: sample.get(name) or "To have faith is to trust yourself to the water" for name in config.data_fields}
    for control in config.controls:
        if control.over == "List":
            data[control.data_field] = ITEMS
        elif control.over in ("Paragraphs", "Chat"):
            data[control.data_field] = DIALOGUE
        elif control.over == "HyperText":
            data[control.data_field] = "<p>To have <b>faith</b> is to trust</p>"
    return data


def written(config: LabelingConfig, hand: Hand = FIRST) -> list[Region]:
    """Return the regions of a person who uses every control once. About a region everybody says the same."""
    found: list[Region] = []
    for control in config.controls:
        if control.per_region or control.tag in SHAPES or control.tag in ("Chat", "VideoRectangle"):
            continue
        found += _about(control, config, hand)
    for control in config.controls:
        if control.per_region and control.over == "Chat":
            found += _on_a_message(control)
        elif control.tag == "Chat":
            found.append(_region(control, "chat", {"chatmessage": {"role": "user", "content": "Hello"}}))
    return found


def _about(control: ControlTag, config: LabelingConfig, hand: Hand) -> list[Region]:
    """Return the regions of one control, and the answers about them, which share their id."""
    own = _own(control, FIRST if control.kind is Kind.OTHER else hand)
    first = own[0]
    type_ = first["type"]
    place = {name: value for name, value in first["value"].items() if name != type_}
    for part in config.controls:
        if part.per_region and set(part.objects) & set(control.objects) and control.over != "Chat":
            if type_ in ("choices", "textarea", "rating", "number", "taxonomy", "datetime", "pairwise", "ranker"):
                continue
            [said] = _own(part, FIRST)
            own.append({**first, "from_name": part.name, "type": said["type"], "value": {**place, **said["value"]}})
    return own


def _own(control: ControlTag, hand: Hand) -> list[Region]:
    tag, buckets = control.tag.lower(), getattr(control, "buckets", ())
    choices = control.labels or ("one", "two")  # without labels, the choices are in the data
    label = choices[-1 if hand.other and control.kind in TIED else 0]
    if tag == "choices":
        return [_region(control, tag, {"choices": [label.split(PATH) if control.nested else label]})]
    if tag == "taxonomy":
        return [_region(control, tag, {"taxonomy": [label.split(PATH)]})]
    if tag == "textarea":
        return [_region(control, tag, {"text": ["some word" if hand.other else "some words"]})]
    if tag == "rating":
        return [_region(control, tag, {"rating": 4 if hand.other else 3})]
    if tag == "number":
        return [_region(control, tag, {"number": 8 if hand.other else 7})]
    if tag == "datetime":
        return [_region(control, tag, {"datetime": "2024-05-07" if hand.other else "2024-05-06"})]
    if tag == "pairwise":
        return [_region(control, tag, {"selected": "right" if hand.other else "left"})]
    if tag == "ranker":
        best = ["a", "b"] if hand.other else ["b", "a"]
        lists = {name: best if i == 0 else ["c"] for i, name in enumerate(buckets[:2])}
        return [_region(control, tag, {"ranker": lists or {control.name: [*best, "c"]}})]
    return _marks(control, tag, label, hand)


def _marks(control: ControlTag, tag: str, label: str, hand: Hand) -> list[Region]:
    shape = tag.removesuffix("labels")
    if shape in _DRAWN:
        return [_region(control, tag, {**_place(shape, hand), tag: [label]}, **_SIZE)]
    if shape == "brush":
        return [_region(control, tag, {"format": "rle", "rle": _MASK, tag: [label]}, **_OF_MASK)]
    if control.over == "Image":  # Labels over a shape without labels
        drawn = control.shapes[0]
        place = _place(drawn.tag.lower(), hand)
        one = _region(control, "labels", {**place, "labels": [label]}, **_SIZE)
        return [{**one, "from_name": drawn.name, "type": drawn.tag.lower(), "value": place}, one]
    if control.over == "Video" and control.shapes:
        box = _place("rectangle", hand)
        frames = [
            {**box, "frame": 1, "time": 0.04, "enabled": True},
            {**box, "frame": 9, "time": 0.36, "enabled": False},
        ]
        value = {"framesCount": 100, "duration": 4.0, "sequence": frames, "labels": [label]}
        drawn = control.shapes[0]
        return [{**_region(control, "videorectangle", value), "from_name": drawn.name}]
    if control.over == "Video" and tag == "timelinelabels":
        return [_region(control, tag, {"ranges": [{"start": 3, "end": 9 + hand.moved}], tag: [label]})]
    if control.over in ("Audio", "AudioPlus", "Video"):
        value = {"start": 0.5, "end": 1.5 + hand.moved / 10, "channel": 0, "labels": [label]}
        return [_region(control, "labels", value, original_length=5.0)]
    if control.over == "TimeSeries":
        written = control.over_attributes.get("timeformat")
        ends: Region = {"start": 10.5, "end": 20.5 + hand.moved}
        if written:
            ends = {"start": "2020-06-15 19:52:31.951", "end": f"2020-06-15 19:52:{37 + hand.moved}.951"}
        return [_region(control, tag, {**ends, "instant": False, tag: [label]})]
    if control.over == "Paragraphs":
        end = 4 if hand.moved else 5
        place = {"start": "0", "end": "0", "startOffset": 0, "endOffset": end, "text": "Hello"[:end]}
        return [_region(control, tag, {**place, tag: [label]})]
    if control.over == "HyperText":
        end, node = 6 if hand.moved else 7, "/p[1]/text()[1]"
        place = {"start": node, "end": node, "startOffset": 3, "endOffset": end, "text": "have"[: end - 3]}
        return [_region(control, tag, {**place, "globalOffsets": {"start": 3, "end": end}, tag: [label]})]
    if control.over == "Text":
        end = 1 if hand.other or (hand.moved and control.kind is Kind.MARKS) else 2
        return [_region(control, "labels", {"start": 0, "end": end, "text": "To"[:end], "labels": [label]})]
    place = {**_place("rectangle", FIRST), "ocrtext": "words", "pageIndex": 0}
    return [_region(control, tag, {**place, tag: [label]})]


def _on_a_message(control: ControlTag) -> list[Region]:
    return _own(control, FIRST)


def _region(control: ControlTag, type_: str, value: Region, **more: Any) -> Region:
    id_ = uuid.uuid4().hex[:10]
    about = {"id": id_, "from_name": control.name, "to_name": control.objects[0], "type": type_, "origin": "manual"}
    return {**about, "value": value, **more}
