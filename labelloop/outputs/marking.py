"""Check the segments, marks, boxes in a video and pages that a result in Label Studio's format holds, at intake.

Label Studio takes them without a look at their numbers. Its editor shows nothing that a person could correct if a
segment ends before it starts, or if a paragraph or a page does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds.regions import page_fault
from labelloop.labeling.results import decoded, units

KINDS = (Kind.SEGMENTS, Kind.MARKS, Kind.TRACKS)
Region = Mapping[str, Any]


def check(result: Sequence[Region], config: LabelingConfig, data: Mapping[str, Any]) -> None:
    """Raise InvalidOutput with the path of the first region that cannot be read. `result` fits the form."""
    controls = [control for control in config.answer.parts or (config.answer,) if control.kind in KINDS]
    regions = units.in_characters(config, list(result), data) if controls else []
    for control in controls:
        for i, region in enumerate(regions):
            if region.get("from_name") in (control.name, *(shape.name for shape in control.shapes)):
                try:
                    decoded(control, _together(control, region, regions), data)
                except ValueError as exc:
                    raise InvalidOutput(f"result[{i}].value", str(exc)) from None
    for i, region in enumerate(result):
        page, about = region.get("item_index"), config.by_name.get(region.get("from_name", ""))
        if page is None or about is None:
            continue
        if fault := page_fault(about, page, data, region["to_name"]):
            raise InvalidOutput(f"result[{i}].item_index", fault)


def _together(control: ControlTag, region: Region, regions: Sequence[Region]) -> list[Region]:
    """Return the region with the others of its id, such as the text about it."""
    id_ = region.get("id")
    same = [one for one in regions if one is region or (id_ is not None and one.get("id") == id_)]
    return [one for one in same if one.get("from_name") in control.names]
