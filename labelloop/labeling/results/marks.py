"""Marks over HTML, dialogues and texts, as the editor writes them.

Text        {"value": {"start": 0, "end": 4, "labels": ["person"]}, "type": "labels"}, in code points
HyperText   {"value": {"start": "/p[1]/text()[1]", "startOffset": 3, "end": "/p[1]/text()[1]", "endOffset": 9,
            "globalOffsets": {"start": 12, "end": 18}, "hypertextlabels": ["person"]}, "type": "hypertextlabels"}.
            `globalOffsets` are code points, the others UTF-16 units. The editor finds a prelabel by its `globalOffsets`
            if its paths lead nowhere, and writes the paths itself
Paragraphs  {"value": {"start": "0", "startOffset": 3, "end": "0", "endOffset": 9, "paragraphlabels": ["person"]},
            "type": "paragraphlabels"}. The offsets are UTF-16 units; labelloop/labeling/results/units.py converts them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import marks as kind
from labelloop.labeling.kinds.marked import LABEL, WITH, Region, read
from labelloop.labeling.kinds.reading import kept
from labelloop.labeling.results.beside import encoded, marked
from labelloop.labeling.results.values import labels_of, values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    type_ = control.tag.lower()
    found = []
    for region in read(kind.geometry_of(control), answer):
        value = _value(control, region) | ({type_: [region[LABEL]]} if LABEL in region else {})
        found.append(([{"type": type_, "value": value}], region.get(WITH, {})))
    return encoded(control, found)


def _value(control: ControlTag, region: Region) -> dict[str, Any]:
    start, end = region["start"], region["end"]
    if control.over == kind.PARAGRAPHS:
        return {"start": str(start[0]), "startOffset": start[1], "end": str(end[0]), "endOffset": end[1]}
    if control.over == "HyperText":
        nowhere = {"start": "", "startOffset": 0, "end": "", "endOffset": 0}
        return nowhere | {"globalOffsets": {"start": start, "end": end}}
    return {"start": start, "end": end}


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the marks; a region with several labels gives one mark each."""
    if control.required and not regions:
        return None
    found = []
    for mark in marked(control, regions):
        region = next((one for one in mark.own if one.get("from_name") == control.name), mark.own[0])
        value = values_of([region])[0]
        more = {WITH: mark.said} if mark.said else {}
        found += [{**_ends(control, value), **label, **more} for label in labels_of(value, control.tag.lower())]
    return kind.canonical(control, kept(found))


def _ends(control: ControlTag, value: Mapping[str, Any]) -> Region:
    if control.over == kind.PARAGRAPHS:
        return {name: [_number(value.get(name)), value.get(f"{name}Offset")] for name in ("start", "end")}
    if control.over == "HyperText":
        offsets = value.get("globalOffsets")
        if not isinstance(offsets, dict):
            raise ValueError("a mark has no globalOffsets, which Label Studio's editor writes")
        value = offsets
    return {name: value.get(name) for name in ("start", "end")}


def _number(paragraph: object) -> object:
    """Return the number of a paragraph, which results hold as a text."""
    if isinstance(paragraph, str) and paragraph.isascii() and paragraph.isdigit() and len(paragraph) < 10:
        return int(paragraph)
    return paragraph
