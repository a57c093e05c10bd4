"""Regions as Label Studio's editor writes them, made by hand for each control tag: not by our own encoders.

They follow what the editor of 1.23.2 was seen to write, or what its source writes for the tags that only the Enterprise
edition shows.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import PATH, SHAPES, ControlTag

Region = dict[str, Any]
_SIZE = {"original_width": 640, "original_height": 480, "image_rotation": 0}
_OF_MASK = {"original_width": 6, "original_height": 4, "image_rotation": 0}
_PLACES: Mapping[str, Region] = {
    "rectangle": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0},
    "polygon": {"points": [[10, 10], [40, 10], [40, 60]], "closed": True},
    "ellipse": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0},
    "keypoint": {"x": 12, "y": 34, "width": 0.5},
}
_MASK = [0, 0, 0, 96, 57, 27, 254, 31, 0, 183, 255, 108, 2, 223, 254, 27, 0, 0]
"""A rectangle in an image of 6 x 4 pixels, as the SDK's own converter (mask2rle) writes it."""
ITEMS = [{"id": one, "title": one, "body": one, "html": one} for one in ("a", "b", "c")]
DIALOGUE = [
    {"author": "Alice", "role": "user", "text": "Hello there, Bob.", "content": "Hello there, Bob."},
    {"author": "Bob", "role": "assistant", "text": "Good day, Alice.", "content": "Good day, Alice."},
]


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


def written(config: LabelingConfig) -> list[Region]:
    """Return the regions of a person who uses every control once."""
    found: list[Region] = []
    for control in config.controls:
        if control.per_region or control.tag in SHAPES or control.tag in ("Chat", "VideoRectangle"):
            continue
        found += _about(control, config)
    for control in config.controls:
        if control.per_region and control.over == "Chat":
            found += _on_a_message(control)
        elif control.tag == "Chat":
            found.append(_region(control, "chat", {"chatmessage": {"role": "user", "content": "Hello"}}))
    return found


def _about(control: ControlTag, config: LabelingConfig) -> list[Region]:
    """Return the regions of one control, and the answers about them, which share their id."""
    own = _own(control)
    first = own[0]
    type_ = first["type"]
    place = {name: value for name, value in first["value"].items() if name != type_}
    for part in config.controls:
        if part.per_region and set(part.objects) & set(control.objects) and control.over != "Chat":
            if type_ in ("choices", "textarea", "rating", "number", "taxonomy", "datetime", "pairwise", "ranker"):
                continue
            [said] = _own(part)
            own.append({**first, "from_name": part.name, "type": said["type"], "value": {**place, **said["value"]}})
    return own


def _own(control: ControlTag) -> list[Region]:
    tag, buckets = control.tag.lower(), getattr(control, "buckets", ())
    label = control.labels[0] if control.labels else "one"
    if tag == "choices":
        return [_region(control, tag, {"choices": [label.split(PATH) if control.nested else label]})]
    if tag == "taxonomy":
        return [_region(control, tag, {"taxonomy": [label.split(PATH)]})]
    if tag == "textarea":
        return [_region(control, tag, {"text": ["some words"]})]
    if tag == "rating":
        return [_region(control, tag, {"rating": 3})]
    if tag == "number":
        return [_region(control, tag, {"number": 7})]
    if tag == "datetime":
        return [_region(control, tag, {"datetime": "2024-05-06"})]
    if tag == "pairwise":
        return [_region(control, tag, {"selected": "left"})]
    if tag == "ranker":
        lists = {name: ["b", "a"] if i == 0 else ["c"] for i, name in enumerate(buckets[:2])}
        return [_region(control, tag, {"ranker": lists or {control.name: ["b", "a", "c"]}})]
    return _marks(control, tag, label)


def _marks(control: ControlTag, tag: str, label: str) -> list[Region]:
    shape = tag.removesuffix("labels")
    if shape in _PLACES:
        return [_region(control, tag, {**_PLACES[shape], tag: [label]}, **_SIZE)]
    if shape == "brush":
        return [_region(control, tag, {"format": "rle", "rle": _MASK, tag: [label]}, **_OF_MASK)]
    if control.over == "Image":  # Labels over a shape without labels
        drawn = control.shapes[0]
        place = _PLACES[drawn.tag.lower()]
        one = _region(control, "labels", {**place, "labels": [label]}, **_SIZE)
        return [{**one, "from_name": drawn.name, "type": drawn.tag.lower(), "value": place}, one]
    if control.over == "Video" and control.shapes:
        box = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
        frames = [
            {**box, "frame": 1, "time": 0.04, "enabled": True},
            {**box, "frame": 9, "time": 0.36, "enabled": False},
        ]
        value = {"framesCount": 100, "duration": 4.0, "sequence": frames, "labels": [label]}
        drawn = control.shapes[0]
        return [{**_region(control, "videorectangle", value), "from_name": drawn.name}]
    if control.over == "Video" and tag == "timelinelabels":
        return [_region(control, tag, {"ranges": [{"start": 3, "end": 9}], tag: [label]})]
    if control.over in ("Audio", "AudioPlus", "Video"):
        return [
            _region(control, "labels", {"start": 0.5, "end": 1.5, "channel": 0, "labels": [label]}, original_length=5.0)
        ]
    if control.over == "TimeSeries":
        written = control.over_attributes.get("timeformat")
        ends: Region = {"start": 10.5, "end": 20.5}
        if written:
            ends = {"start": "2020-06-15 19:52:31.951", "end": "2020-06-15 19:52:37.951"}
        return [_region(control, tag, {**ends, "instant": False, tag: [label]})]
    if control.over == "Paragraphs":
        place = {"start": "0", "end": "0", "startOffset": 0, "endOffset": 5, "text": "Hello"}
        return [_region(control, tag, {**place, tag: [label]})]
    if control.over == "HyperText":
        offsets = {"start": 3, "end": 7}
        place = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "startOffset": 3, "endOffset": 7, "text": "have"}
        return [_region(control, tag, {**place, "globalOffsets": offsets, tag: [label]})]
    if control.over == "Text":
        return [_region(control, "labels", {"start": 0, "end": 2, "text": "To", "labels": [label]})]
    place = {**_PLACES["rectangle"], "ocrtext": "words", "pageIndex": 0}
    return [_region(control, tag, {**place, tag: [label]})]


def _on_a_message(control: ControlTag) -> list[Region]:
    return _own(control)


def _region(control: ControlTag, type_: str, value: Region, **more: Any) -> Region:
    id_ = uuid.uuid4().hex[:10]
    about = {"id": id_, "from_name": control.name, "to_name": control.objects[0], "type": type_, "origin": "manual"}
    return {**about, "value": value, **more}
