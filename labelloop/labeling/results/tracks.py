"""Boxes that move through a video: VideoRectangle, with or without Labels. See labelstud.io/tags/videorectangle.

{"value": {"framesCount": 40, "duration": 4, "labels": ["car"], "sequence": [{"frame": 1, "enabled": true, "x": 10,
"y": 10, "width": 20, "height": 20, "rotation": 0, "time": 0.1}]}, "from_name": "box", "type": "videorectangle"}

The editor writes the label of a Labels control into the region of the VideoRectangle, and no region for the Labels.
`enabled` is false in the last frame of a box before it is gone. It finds out `framesCount`, `duration` and `time` anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import tracks as kind
from labelloop.labeling.kinds.marked import LABEL, WITH, read
from labelloop.labeling.kinds.reading import kept
from labelloop.labeling.results.beside import encoded, marked
from labelloop.labeling.results.values import labels_of, values_of

FRAME_RATE = 24.0
"""Frames a second of a Video without `frameRate`."""
TYPE = "videorectangle"
_NAMES = ("x", "y", "width", "height", "rotation")


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    shape = next((one.name for one in control.shapes if one.tag.lower() == TYPE), control.name)
    rate = _rate(control)
    marks = []
    for region in read(kind.GEOMETRY, answer):
        frames = region["frames"]
        last = frames[-1][0]
        sequence = [_written(one, rate) for one in frames]
        value = {"framesCount": last, "duration": round(last / rate, 6), "sequence": sequence}
        value |= {"labels": [region[LABEL]]} if LABEL in region else {}
        marks.append(([{"from_name": shape, "type": TYPE, "value": value}], region.get(WITH, {})))
    return encoded(control, marks)


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the boxes; a region with several labels gives one box each."""
    if control.required and not regions:
        return None
    found = []
    for mark in marked(control, regions):
        values = values_of(mark.own)
        frames: list[Any] = next((one["sequence"] for one in values if isinstance(one.get("sequence"), list)), [])
        track = {"frames": [_key_frame(one) for one in frames]} | ({WITH: mark.said} if mark.said else {})
        labels = [label for value in values for label in labels_of(value, "labels") if label]
        found += [{**track, **label} for label in labels or [{}]]
    return kind.canonical(control, kept(found))


def _written(key_frame: Sequence[Any], rate: float) -> dict[str, Any]:
    frame, *numbers = key_frame
    named = dict(zip(_NAMES, numbers, strict=False))
    return {"frame": frame, "enabled": len(key_frame) == 6, "time": round(frame / rate, 6), **named}


def _key_frame(given: object) -> list[Any]:
    frame = given if isinstance(given, dict) else {}
    numbers = [frame.get(name, 0 if name == "rotation" else None) for name in _NAMES]
    return [frame.get("frame"), *numbers, *([False] if frame.get("enabled") is False else [])]


def _rate(control: ControlTag) -> float:
    try:
        rate = float(control.over_attributes.get("framerate", FRAME_RATE))
    except ValueError:
        return FRAME_RATE
    return rate if 0 < rate < 1e6 else FRAME_RATE
