"""Segments of a sound, a video's timeline or a time series, as the editor writes them.

Labels over Audio   {"value": {"start": 0.5, "end": 1.2, "channel": 0, "labels": ["speech"]}, "type": "labels",
                    "original_length": 12.5}, see labelstud.io/tags/audio
TimelineLabels      {"value": {"ranges": [{"start": 3, "end": 8}], "timelinelabels": ["goal"]},
                    "type": "timelinelabels"}
TimeSeriesLabels    {"value": {"start": 10, "end": 20, "instant": false, "timeserieslabels": ["peak"]},
                    "type": "timeserieslabels"}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import segments as kind
from labelloop.labeling.kinds.marked import LABEL, WITH, read
from labelloop.labeling.kinds.reading import kept
from labelloop.labeling.results.beside import encoded, marked
from labelloop.labeling.results.values import is_number, labels_of, values_of

PAST_THE_END_S = 1.0
"""A segment of a sound may end this many seconds after it; it is cut there. Windows of a model reach past the end."""
FROM_A_PREDICTION = ("prediction", "prediction-changed")
"""`origin` of a region that the pipeline drew. Its end is cut at the end of the sound, wherever it is: the editor does
not show a person that it is beyond.
"""


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    type_ = control.tag.lower()
    marks = []
    for region in read(kind.geometry_of(control), answer):
        ends = {name: region[name] for name in ("start", "end")}
        value: dict[str, Any] = ends
        if control.tag == "TimelineLabels":
            value = {"ranges": [ends]}
        elif control.tag == "TimeSeriesLabels":
            value = {**ends, "instant": region["start"] == region["end"]}
        elif control.over != "Video":
            value = {**ends, "channel": region.get("channel", 0)}
        if LABEL in region:
            value = {**value, type_: [region[LABEL]]}
        marks.append(([{"type": type_, "value": value}], region.get(WITH, {})))
    return encoded(control, marks)


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the segments; each range of a region, and each of its labels, is a segment of its own."""
    if control.required and not regions:
        return None
    found = []
    for mark in marked(control, regions):
        region = next((one for one in mark.own if one.get("from_name") == control.name), mark.own[0])
        value = values_of([region])[0]
        given = value.get("ranges") if control.tag == "TimelineLabels" else [value]
        for one in given if isinstance(given, list) else [given]:
            ends = _ends(control, one if isinstance(one, dict) else {}, region)
            if ends is None:
                continue
            more = {WITH: mark.said} if mark.said else {}
            found += [{**ends, **label, **more} for label in labels_of(value, control.tag.lower())]
    return kind.canonical(control, kept(found))


def _ends(control: ControlTag, value: Mapping[str, Any], region: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return start, end and channel; None for a segment of a prediction of which nothing is in the sound."""
    ends = {name: value.get(name) for name in ("start", "end")}
    if control.over not in ("Audio", "AudioPlus"):
        return ends
    start, end, length = ends["start"], ends["end"], region.get("original_length")
    if is_number(length) and is_number(end) and end > length > 0:
        is_predicted = region.get("origin") in FROM_A_PREDICTION
        if end > length + PAST_THE_END_S and not is_predicted:
            raise ValueError(f"a segment ends at {end} seconds; the sound has {length}")
        if is_predicted and is_number(start) and start >= length:
            return None
        ends["end"] = length
    return ends | ({"channel": value["channel"]} if value.get("channel") else {})
