"""Regions of an image. See labelstud.io/tags/rectanglelabels.

{"value": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["car"]},
"type": "rectanglelabels"}, in percent of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import regions as kind
from labelloop.labeling.kinds.marked import LABEL, read
from labelloop.labeling.results.values import values_of


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    found = []
    for region in read(kind.GEOMETRY, answer):
        x, y, width, height = region["box"]
        value = {"x": x, "y": y, "width": width, "height": height, "rotation": region.get("rotation", 0)}
        found.append({"type": "rectanglelabels", "value": value | {"rectanglelabels": [region[LABEL]]}})
    return found


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    if control.required and not regions:
        return None
    found = []
    for value in values_of(regions):
        box = [value.get(name) for name in ("x", "y", "width", "height")]
        found += [{"box": box, LABEL: label} for label in value.get("rectanglelabels") or ()]
    return kind.canonical(control, found)
