"""Regions of an image, of every shape. See labelstud.io/tags/rectanglelabels and the pages of the other shapes.

{"id": "a", "type": "rectanglelabels", "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0,
"rectanglelabels": ["car"]}, "original_width": 640, "original_height": 480, "item_index": 0}, in percent of the image.

A region may be several entries with one id. Labels over a Rectangle give one of the Rectangle and one of the Labels,
and each control with perRegion one more; each repeats the geometry. A region with several labels is one region of the
answer for each of them.

The editor of 1.23.2 loses the place of a key point without `width`, and puts the vertices of a vector elsewhere if
original_width and original_height are absent. All other shapes open without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labelloop.labeling import results
from labelloop.labeling.controls import SHAPES as TAGS
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.geometry.shapes import shape_of
from labelloop.labeling.kinds import as_text, form
from labelloop.labeling.kinds import regions as kind
from labelloop.labeling.kinds.marked import LABEL, WITH, Region, read
from labelloop.labeling.results.form import answer_in
from labelloop.reading import strict_json

_MARKS = {
    "brush": "rle",
    "magicwand": "rle",
    "bitmask": "imageDataURL",
    "polygon": "points",
    "vector": "vertices",
    "ellipse": "radiusX",
    "rectangle": "height",
    "keypoint": "x",
}
"""Part of the value by which each shape is known; the value of a later shape may be part of an earlier one's."""
POINT_WIDTH = 0.5
"""Width of a key point on the screen, in percent of the image; it is no part of the answer."""
_LABELS = (*(f"{tag.lower()}labels" for tag in TAGS), "labels")
"""Parts of a value that hold the labels; the editor names them by the type of the entry."""


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    found = []
    for i, (region, labels) in enumerate(_drawn(control, read(kind.GEOMETRY, answer))):
        id_ = f"labelloop-{control.name}{f'-{i}' if i else ''}"
        tag = kind.tag_of(control, shape_of(region))
        value = _value(tag, region)
        about: dict[str, Any] = {"id": id_, **_about(control, region)}
        shape = next((one for one in control.shapes if one.tag == tag), None)
        if shape is not None:
            found.append({**about, "from_name": shape.name, "type": tag.lower(), "value": value})
        if shape is None or labels:
            type_ = control.tag.lower()
            found.append({**about, "type": type_, "value": value | ({type_: labels} if labels else {})})
        for part in control.beside:
            if (given := region.get(WITH, {}).get(part.name)) is not None:
                answers = results.regions_of(part, as_text(given) or "")
                found += [{**one, **about, "value": value | one["value"]} for one in answers]
    return found


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the regions; an answer to a perRegion control about a region of another control is left out.

    None if the control is required and there are none.
    """
    found: list[Region] = []
    for entries in _by_id(regions):
        names = {control.name, *(shape.name for shape in control.shapes)}
        drawn = [entry for entry in entries if entry.get("from_name") in names]
        region = geometry_of(control, drawn[0]) if drawn else {}
        if not region or _is_erased(region):
            continue
        beside = {}
        for part in control.beside:
            ours = [entry for entry in entries if entry.get("from_name") == part.name]
            given = answer_in(part, ours)
            if given is not None:
                beside[part.name] = form.as_value(part, given)
        region |= {WITH: beside} if beside else {}
        labels = [label for entry in drawn for label in _labels(entry)]
        found += [region | {LABEL: label} for label in labels] or [region]
    return None if control.required and not found else kind.canonical(control, found)


def geometry_of(control: ControlTag, entry: Mapping[str, Any]) -> Region:
    """Return the geometry of one entry of a result, unchecked. Raises ValueError if it has none, or a damaged mask."""
    value = entry.get("value")
    value = value if isinstance(value, dict) else {}
    width, height = (_whole(entry.get(name)) for name in ("original_width", "original_height"))
    size = {"size": [width, height]} if width is not None and height is not None else {}
    found = _shape(entry, value, width, height)
    if "line" in found or found.get("rotation"):
        found |= size
    if page := entry.get("item_index"):
        found["page"] = page
    if (image := entry.get("to_name", "")) not in ("", control.objects[0]):
        found["image"] = image
    return found


def _shape(entry: Mapping[str, Any], value: Mapping[str, Any], width: Any, height: Any) -> Region:
    """Return the shape of an entry: the one of its type, or the one whose numbers its value has."""
    type_ = str(entry.get("type")).lower().removesuffix("labels")
    turn = {"rotation": value["rotation"]} if value.get("rotation") else {}
    mark = _MARKS.get(type_) or next((mark for mark in _MARKS.values() if mark in value), None)
    match mark:
        case "rle" | "imageDataURL":
            return {"mask": _mask(mark, value.get(mark), width, height)}
        case "points":
            return {"polygon": value.get("points")}
        case "vertices":
            return _line(value)
        case "radiusX":
            return {"ellipse": [value.get(name) for name in ("x", "y", "radiusX", "radiusY")], **turn}
        case "height":
            return {"box": [value.get(name) for name in ("x", "y", "width", "height")], **turn}
        case "x":
            return {"point": [value.get("x"), value.get("y")]}
    raise ValueError(f"a region without a place on the image; its value has {', '.join(value) or 'nothing'}")


def _line(value: Mapping[str, Any]) -> Region:
    vertices = value.get("vertices")
    if not isinstance(vertices, list) or not all(isinstance(one, dict) for one in vertices):
        raise ValueError(f"the vertices of a line are a list of objects; one is {str(vertices)[:80]}")
    points, before = [], []
    places = {one["id"]: i for i, one in enumerate(vertices) if isinstance(one.get("id"), str)}
    for i, one in enumerate(vertices):
        curve = [one[name] for name in ("controlPoint1", "controlPoint2") if isinstance(one.get(name), dict)]
        points.append([part.get(axis) for part in (one, *(curve if len(curve) == 2 else ())) for axis in ("x", "y")])
        last = one.get("prevPointId")
        if places:  # a vertex that continues none begins a branch
            before.append(places.get(last) if isinstance(last, str) else None)
        else:
            before.append(i - 1 if i else None)
    return {"line": points, "from": before, "closed": value.get("closed") is True}


def _value(tag: str, region: Region) -> dict[str, Any]:
    """Return the geometry as an entry of this tag holds it."""
    turn = region.get("rotation", 0)
    match region:
        case {"box": [x, y, width, height]}:
            return {"x": x, "y": y, "width": width, "height": height, "rotation": turn}
        case {"ellipse": [x, y, across, down]}:
            return {"x": x, "y": y, "radiusX": across, "radiusY": down, "rotation": turn}
        case {"polygon": points}:
            return {"points": points, "closed": True}
        case {"point": [x, y]}:
            return {"x": x, "y": y, "width": POINT_WIDTH}
        case {"mask": [width, height, runs]}:
            from labelloop.labeling.geometry import brush, masks

            mask = masks.of_runs(width, height, runs)
            if tag == "Bitmask":
                return {"imageDataURL": brush.encode_png(mask)}
            return {"format": "rle", "rle": brush.encode(mask)}
    before = region.get("from") or [None, *range(len(region["line"]) - 1)]
    vertices = []
    for i, (point, last) in enumerate(zip(region["line"], before, strict=True)):
        one = {"id": f"p{i}", "x": point[0], "y": point[1], "prevPointId": None if last is None else f"p{last}"}
        one["isBezier"] = len(point) == 6
        if len(point) == 6:
            one["controlPoint1"] = {"x": point[2], "y": point[3]}
            one["controlPoint2"] = {"x": point[4], "y": point[5]}
        vertices.append(one)
    return {"vertices": vertices, "closed": bool(region.get("closed"))}


def _about(control: ControlTag, region: Region) -> dict[str, Any]:
    """Return what an entry holds beside its value."""
    width, height = region["mask"][:2] if "mask" in region else region.get("size", (None, None))
    size = {"original_width": width, "original_height": height, "image_rotation": 0} if width else {}
    page = {"item_index": region["page"]} if "page" in region else {}
    return {"to_name": region.get("image", control.objects[0]), **size, **page}


def _drawn(control: ControlTag, regions: Sequence[Region]) -> Iterator[tuple[Region, list[str]]]:
    """Yield each region to draw, with its labels. Regions that differ only in labels are one if it may have several."""
    groups: dict[str, tuple[Region, list[str]]] = {}
    for i, region in enumerate(regions):
        bare = {name: part for name, part in region.items() if name != LABEL}
        several = LABEL in region and control.choice.startswith("multiple")
        key = strict_json.dumps(bare) if several else str(i)
        groups.setdefault(key, (bare, []))[1].extend([region[LABEL]] if LABEL in region else [])
    yield from groups.values()


def _by_id(regions: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Return the entries of each region together; an entry without an id is a region of its own."""
    groups: dict[object, list[Mapping[str, Any]]] = {}
    for i, region in enumerate(regions):
        id_ = region.get("id")
        groups.setdefault(id_ if isinstance(id_, str | int) else (i,), []).append(region)
    return list(groups.values())


def _labels(entry: Mapping[str, Any]) -> list[Any]:
    value = entry.get("value")
    given = [value[name] for name in _LABELS if name in value] if isinstance(value, dict) else []
    return [label for labels in given if isinstance(labels, list) for label in labels]


def _is_erased(region: Region) -> bool:
    """Whether it is a brush whose strokes were all erased: the editor keeps such a region, with an empty mask."""
    return "mask" in region and len(region["mask"][2]) == 1


def _whole(number: Any) -> Any:
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _mask(mark: str, given: object, width: Any, height: Any) -> list[Any]:
    from labelloop.labeling.geometry import brush, masks  # numpy and Pillow only where there are masks

    mask = (brush.decode if mark == "rle" else brush.decode_png)(given, width, height)
    return [mask.width, mask.height, masks.runs_of(mask)]
