"""COCO: boxes, polygons, masks and key points of pictures, in pixels. Pure.

Format: https://cocodataset.org/#format-data. Our regions are in percent of the picture (labelloop/labeling).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelloop.errors import InvalidOutput, UsageError
from labelloop.labeling.controls import Kind
from labelloop.outputs.formats import rle
from labelloop.outputs.formats.items import Given, How, Item, Row, Tally, claimed, put
from labelloop.reading.addresses import looks_like_address

Region = dict[str, Any]
SHAPES = ("box", "polygon", "mask", "point")
_TAGS = {"Rectangle": "box", "Polygon": "polygon", "Brush": "mask", "Bitmask": "mask", "KeyPoint": "point"}
SKELETON = "key points: the lines between them, and whether one is hidden"
PARTS = "objects of several polygons, each of which becomes a region of its own"
CROWD = "marks of a crowd (iscrowd), which regions do not have"
ROTATED = "rotated boxes, which become polygons of four corners"
ELLIPSE = "ellipses, which become polygons of 64 corners"
UNLABELLED = "regions without a label, which get the category 'region'"
BOX_ONLY = "outlines, of which the form asks for the box only"
PICTURE, SIZE = "file_name", ("width", "height")
_CORNERS = 64
_DIGITS = 4
"""Decimals of our percentages."""
_PIXEL_DIGITS = _DIGITS + 3
"""Most decimals of pixels: a step of our percentages is a millionth of a side, and the shortest side is one pixel."""


def shapes_of(how: How) -> tuple[str, ...]:
    """Return the shapes that the loop's form has, of SHAPES; all of them if none is known."""
    control = how.part(Kind.REGIONS)
    tags = [one.tag.removesuffix("Labels") for one in (control, *control.shapes)]
    return tuple(dict.fromkeys(_TAGS[tag] for tag in tags if tag in _TAGS)) or SHAPES


def read(
    image: Row, annotations: Sequence[tuple[int, Row]], categories: Mapping[Any, Row], line: int, how: How, tally: Tally
) -> Item:
    """Return the item of a picture.

    `annotations` has each of them with its line, and `categories` the category by its id. An annotation with a `score`
    is a model's. Raises InvalidOutput with the path of the wrong part.
    """
    name = image.get(PICTURE)
    if not isinstance(name, str) or not name:
        raise InvalidOutput(PICTURE, "is missing")
    width, height = (_size(image, side) for side in SIZE)
    data = put({"width": width, "height": height}, how.shown, _address(image, name, how))
    output: dict[str, Any] = {"key": how.key_of(image, image.get("key") or name), "data": data}
    people, model, scores = list[Region](), list[Region](), list[float]()
    shapes = shapes_of(how)
    for at, annotation in annotations:
        try:
            found = regions(annotation, categories, width, height, shapes, tally)
        except InvalidOutput as exc:
            raise InvalidOutput(f"annotations (line {at}, id {annotation.get('id')})", str(exc)) from None
        if isinstance(score := annotation.get("score"), int | float):
            model += found
            scores.append(float(score))
        else:
            people += found

    def answer(found: list[Region]) -> Any:
        return how.answer(lambda control: found if control.kind is Kind.REGIONS else None)

    if how.as_predictions:
        model, people = model + people, []
    if model:
        claimed(how, output, answer(model), min(scores) if scores else None)
    # A picture without an annotation is one that somebody looked at: there is nothing in it.
    return Item(line, output, [] if how.as_predictions or (model and not people) else [Given(None, answer(people))])


def _address(image: Row, name: str, how: How) -> str:
    """Return the picture's address. Raises UsageError if the file has none, for it is the same for each picture."""
    if how.media:
        return how.media + name
    own = image.get("coco_url")
    address = own if isinstance(own, str) and own else name
    if not looks_like_address(address):
        raise UsageError(
            f"{PICTURE} {address[:100]!r} is a file's name, and no browser can show it: give the beginning of the "
            "pictures' addresses, such as --media https://pictures.example.org/"
        )
    return address


def regions(
    annotation: Row, categories: Mapping[Any, Row], width: float, height: float, shapes: Sequence[str], tally: Tally
) -> list[Region]:
    """Return the regions of an annotation, in percent: the most exact shape of those that the form has."""
    category = categories.get(annotation.get("category_id"))
    if category is None:
        given = annotation.get("category_id")
        there = ", ".join(map(repr, categories)) or "none"
        raise InvalidOutput(
            "category_id", "is missing" if given is None else f"no category {given!r}; there are: {there}"
        )
    label = {"label": str(category.get("name"))}
    outline = annotation.get("segmentation")
    tally[CROWD] += bool(annotation.get("iscrowd"))
    if annotation.get("keypoints") and "point" in shapes:
        return _points(annotation["keypoints"], category, width, height, tally)
    if isinstance(outline, Mapping) and "mask" in shapes:
        return [{"mask": _mask(outline, width, height), **label}]
    if isinstance(outline, list) and outline and "polygon" in shapes:
        several = [outline] if all(isinstance(one, int | float) for one in outline) else outline
        tally[PARTS] += len(several) > 1
        return [{"polygon": _polygon(one, width, height), **label} for one in several]
    if "box" not in shapes:
        raise InvalidOutput("segmentation", f"the form has no box, and the annotation no {' and no '.join(shapes)}")
    box = annotation.get("bbox")
    if box is None:
        raise InvalidOutput("bbox", "is missing")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(one, int | float) for one in box):
        raise InvalidOutput("bbox", f"must be [x, y, width, height]; it is {str(box)[:60]}")
    if box[2] <= 0 or box[3] <= 0:
        raise InvalidOutput("bbox", f"has no area: {box}")
    tally[BOX_ONLY] += bool(outline)
    x, y, w, h = (_percent(one, side) for one, side in zip(box, (width, height) * 2, strict=True))
    rotation = (annotation.get("attributes") or {}).get("rotation") or 0
    return [{"box": [x, y, w, h], **label, **({"rotation": rotation} if rotation else {})}]


def _points(flat: object, category: Row, width: float, height: float, tally: Tally) -> list[Region]:
    if not isinstance(flat, list) or len(flat) % 3 or not all(isinstance(one, int | float) for one in flat):
        raise InvalidOutput("keypoints", "must be a list of x, y and visibility, one after the other")
    names = category.get("keypoints") or []
    found = []
    for i in range(0, len(flat), 3):
        x, y, seen = flat[i : i + 3]
        if seen:
            name = names[i // 3] if i // 3 < len(names) else category.get("name")
            found.append({"point": [_percent(x, width), _percent(y, height)], "label": str(name)})
    tally[SKELETON] += len(names) > 1
    return found


def _mask(outline: Row, width: float, height: float) -> list[Any]:
    size, counts = outline.get("size"), outline.get("counts")
    if size != [height, width]:
        raise InvalidOutput(
            "segmentation.size", f"is {size}; the picture has [height, width] = [{height:g}, {width:g}]"
        )
    try:
        listed = rle.from_text(counts) if isinstance(counts, str) else counts
        if not isinstance(listed, list):
            raise ValueError("must be a list or a text")
        return [int(width), int(height), rle.from_columns(listed, int(width), int(height))]
    except ValueError as exc:
        raise InvalidOutput("segmentation.counts", str(exc)) from None


def _polygon(flat: object, width: float, height: float) -> list[list[float]]:
    if not isinstance(flat, list) or len(flat) % 2 or not all(isinstance(one, int | float) for one in flat):
        raise InvalidOutput("segmentation", "a polygon is a list of x and y, one after the other")
    if len(flat) < 6:
        raise InvalidOutput("segmentation", f"a polygon has at least 3 points; one has {len(flat) // 2}")
    return [[_percent(flat[i], width), _percent(flat[i + 1], height)] for i in range(0, len(flat), 2)]


def _size(image: Row, side: str) -> float:
    size = image.get(side)
    if size is None:
        raise InvalidOutput(side, f"is missing: the picture's {side} in pixels")
    if not isinstance(size, int | float) or isinstance(size, bool) or not 0 < size < 1e6:
        raise InvalidOutput(side, f"must be the picture's {side} in pixels; it is {str(size)[:40]}")
    return size


def _percent(pixels: float, side: float) -> float:
    return round(pixels / side * 100, _DIGITS)


# -- writing -----------------------------------------------------------------------------------------------------


class Writer:
    """Annotations of pictures, with the categories that they need. `tally` gets what COCO cannot hold."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._ids: dict[str, int] = {}
        self._points: set[str] = set()
        self._next = 1

    def image(self, number: int, address: str, width: float, height: float) -> dict[str, Any]:
        return {"id": number, PICTURE: address, "width": width, "height": height}

    def annotations(self, found: Sequence[Row], image: int, width: float, height: float) -> list[dict[str, Any]]:
        """Return the annotations of regions in percent of a picture of this size in pixels."""
        made = []
        for region in found:
            label = region.get("label")
            self._tally[UNLABELLED] += label is None
            name = "region" if label is None else str(label)
            category = self._ids.setdefault(name, len(self._ids) + 1)
            if "point" in region:
                self._points.add(name)
            shape = _shape(region, width, height, self._tally)
            made.append({"id": self._next, "image_id": image, "category_id": category, "iscrowd": 0, **shape})
            self._next += 1
        return made

    def categories(self) -> list[dict[str, Any]]:
        """Return the categories of all annotations until now."""
        return [
            {"id": id_, "name": name, **({"keypoints": [name], "skeleton": []} if name in self._points else {})}
            for name, id_ in self._ids.items()
        ]


def _shape(region: Row, width: float, height: float, tally: Tally) -> dict[str, Any]:
    if "mask" in region:
        w, h, runs = region["mask"]
        mask = rle.mask_of(runs, w, h)
        ys, xs = (np.flatnonzero(mask.any(axis=axis)).tolist() for axis in (1, 0))
        box = [0, 0, 0, 0]
        if xs:
            box = [xs[0], ys[0], xs[-1] - xs[0] + 1, ys[-1] - ys[0] + 1]
        counts = rle.to_columns(runs, w, h)
        return {"segmentation": {"size": [h, w], "counts": counts}, "bbox": box, "area": int(mask.sum())}
    if "point" in region:
        x, y = _pixels(region["point"], width, height)
        return {"keypoints": [x, y, 2], "num_keypoints": 1, "bbox": [x, y, 0, 0], "area": 0, "segmentation": []}
    if "box" in region and not region.get("rotation"):
        (x, y), (w, h) = (_pixels(region["box"][i : i + 2], width, height) for i in (0, 2))
        return {"bbox": [x, y, w, h], "area": round(w * h, 2), "segmentation": []}
    if "polygon" in region:
        corners = region["polygon"]
    elif "box" in region:
        tally[ROTATED] += 1
        corners = _turned(region["box"], region["rotation"], width, height)
    elif "ellipse" in region:
        tally[ELLIPSE] += 1
        corners = _around(region["ellipse"], region.get("rotation") or 0, width, height)
    else:
        raise InvalidOutput("answer", f"COCO has no shape for {str(dict(region))[:80]}")
    points = [_pixels(corner, width, height) for corner in corners]
    left, top = min(x for x, _ in points), min(y for _, y in points)
    right, bottom = max(x for x, _ in points), max(y for _, y in points)
    flat = [one for point in points for one in point]
    around = [left, top, round(right - left, _PIXEL_DIGITS), round(bottom - top, _PIXEL_DIGITS)]
    return {"segmentation": [flat], "bbox": around, "area": round(_area(points), 2)}


def _pixels(point: Sequence[float], width: float, height: float) -> list[float]:
    return [_of_side(point[0], width), _of_side(point[1], height)]


def _of_side(percent: float, side: float) -> float:
    """Return the pixels with the fewest decimals, at least two, that are read as the same percentage."""
    pixels = percent * side / 100
    for digits in range(2, _PIXEL_DIGITS):
        if _percent(round(pixels, digits), side) == round(percent, _DIGITS):
            return round(pixels, digits)
    return round(pixels, _PIXEL_DIGITS)


def _turned(box: Sequence[float], degrees: float, width: float, height: float) -> list[list[float]]:
    """Return the corners of a box that is turned clockwise about its upper left corner, as Label Studio turns it."""
    x, y, w, h = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(0.0, 0.0), (w, 0.0), (w, h), (0.0, h)]
    return [[(x + a * cos - b * sin) / width, (y + a * sin + b * cos) / height] for a, b in corners]


def _around(ellipse: Sequence[float], degrees: float, width: float, height: float) -> list[list[float]]:
    x, y, rx, ry = ellipse[0] * width, ellipse[1] * height, ellipse[2] * width, ellipse[3] * height
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    found = []
    for i in range(_CORNERS):
        a, b = rx * math.cos(2 * math.pi * i / _CORNERS), ry * math.sin(2 * math.pi * i / _CORNERS)
        found.append([(x + a * cos - b * sin) / width, (y + a * sin + b * cos) / height])
    return found


def _area(points: Sequence[Sequence[float]]) -> float:
    """Return the area of a polygon, by the shoelace formula."""
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2
