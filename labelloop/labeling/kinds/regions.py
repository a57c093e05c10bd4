"""Regions of an image: a JSON list of objects, sorted. Coordinates are in percent of the image, 0 to 100.

[{"box":[10,20,30,40],"label":"car"},{"label":"road","polygon":[[0,60],[100,60],[50,99]]}]

labelloop/labeling/geometry/shapes.py lists the shapes, similar.py beside it says how regions are compared, and
labelloop/labeling/kinds/marked.py what people agree on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from labelloop.labeling.controls import SHAPES as TAGS
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.form_xml import fields_in
from labelloop.labeling.geometry import shapes
from labelloop.labeling.kinds import marked
from labelloop.labeling.kinds.marked import Geometry, Region
from labelloop.reading import paths

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SHAPE_OF_TAG = {
    "Rectangle": "box",
    "Polygon": "polygon",
    "Ellipse": "ellipse",
    "KeyPoint": "point",
    "Vector": "line",
    "Brush": "mask",
    "Bitmask": "mask",
    "MagicWand": "mask",
}
"""Shape that each tag draws; a tag with labels, such as RectangleLabels, draws the same one."""


def _table(ones: Sequence[Region], others: Sequence[Region], least: float) -> npt.NDArray[np.float64]:
    from labelloop.labeling.geometry import similar  # numpy only where regions are compared

    return similar.table(ones, others, least)


def _similarity(one: Region, other: Region) -> float:
    from labelloop.labeling.geometry import similar

    return similar.similarity(one, other)


def _middle(regions: Sequence[Region]) -> Region:
    from labelloop.labeling.geometry import similar

    return similar.middle(regions)


GEOMETRY = Geometry(shapes.read, _similarity, _middle, shapes.EXAMPLE, _table)


def shapes_of(control: ControlTag) -> tuple[str, ...]:
    """Return the shapes that people can draw with this control; all of them if it is not known."""
    tags = [control.tag.removesuffix("Labels"), *(one.tag for one in control.shapes)]
    return tuple(dict.fromkeys(SHAPE_OF_TAG[tag] for tag in tags if tag in TAGS)) or tuple(shapes.SHAPES)


def tag_of(control: ControlTag, shape: str) -> str:
    """Return the tag, without "Labels", by which this control draws a shape."""
    tags = [control.tag.removesuffix("Labels"), *(one.tag for one in control.shapes)]
    return next((tag for tag in tags if SHAPE_OF_TAG.get(tag) == shape), "")


def canonical(control: ControlTag, answer: object) -> str:
    drawn, found = shapes_of(control), marked.read(GEOMETRY, answer)
    for region in found:
        if (shape := shapes.shape_of(region)) not in drawn:
            raise ValueError(f"{control.words} draws a {' or a '.join(drawn)}, and not a {shape}")
        match region:
            case {"mask": [int() as width, int() as height, *_]} if tag_of(control, "mask") == "Bitmask":
                shapes.check_png(width, height)
    return marked.canonical(GEOMETRY, control, found)


def nearest(control: ControlTag, answer: str) -> str:
    """Return the answer without the regions that the form cannot draw, or whose labels it does not have."""
    drawn = shapes_of(control)
    kept = [region for region in marked.read(GEOMETRY, answer) if shapes.shape_of(region) in drawn]
    return marked.nearest(GEOMETRY, control, marked.write(kept))


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    return marked.agreed(GEOMETRY, control, answers)


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return marked.score(GEOMETRY, answer, predicted)


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return marked.measures(GEOMETRY, answer, predicted)


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return marked.labels_in(GEOMETRY, answer)


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    """Raise ValueError if a region is on an image or a page that the item does not have."""
    for region in marked.read(GEOMETRY, answer):
        image = region.get("image") or control.objects[0]
        if image not in control.objects:
            there = " and ".join(control.objects)
            raise ValueError(f"`image` names an Image of the form; {control.words} is for {there}, and not {image!r}")
        if fault := page_fault(control, region.get("page", 0), data, image):
            raise ValueError(f"`page` of a region {fault}")


def page_fault(control: ControlTag, page: object, data: Mapping[str, Any], image: str) -> str | None:
    """Return the reason why the item has no such page of this Image; None if it has it, or if that is not known.

    Label Studio's editor cannot submit a task with a region on a page that does not exist.
    """
    if page == 0 or control.over != "Image" or image != control.objects[0]:
        return None
    listed = "valuelist" in control.over_attributes
    fields = fields_in(control.over_attributes.get("valuelist" if listed else "value", ""), named=True)
    shown = paths.value_at(data, fields[0]) if len(fields) == 1 else None
    if listed and shown is None:
        return None
    n = len(shown) if isinstance(shown, list) else 1
    if type(page) is int and 0 <= page < n:
        return None
    has = f"has {n} image{'s' * (n != 1)}" if isinstance(shown, list) else "is one image, whose page is 0"
    what = f"data.{fields[0]}" if len(fields) == 1 else "it"
    return f"counts the images of a list from 0; it is {str(page)[:40]}, and {what} {has}"
