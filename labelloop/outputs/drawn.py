"""Check the regions of an image in a result, at intake: the place of each, and its labels. Pure.

A region is refused if Label Studio refuses it. It is also refused if people could not see or move it. Such a region
lies outside of its image, has no area or a damaged mask, or lacks the size of its image where the editor needs that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling.controls import ControlTag
from labelloop.labeling.geometry import shapes
from labelloop.labeling.results.regions import geometry_of
from labelloop.reading import fields

_NUMBERS: Mapping[str, Mapping[str, float]] = {
    "rectangle": {"x": 100, "y": 100, "width": 100, "height": 100},
    "ellipse": {"x": 100, "y": 100, "radiusX": 50, "radiusY": 50},
    "keypoint": {"x": 100, "y": 100},
}
"""The numbers that place a shape, with the largest that Label Studio accepts."""
_MOST_ROTATION = 360


def check(path: str, control: ControlTag, region: Mapping[str, Any], shape: str) -> None:
    """Raise InvalidOutput with the path of the first part of a region that does not fit.

    `shape` is the region's type without "labels", such as rectangle.
    """
    value, below = region["value"], f"{path}.value"
    for name, most in _NUMBERS.get(shape, {}).items():
        _at_most(f"{below}.{name}", value.get(name), most)
    if value.get("rotation") is not None:
        _at_most(f"{below}.rotation", value["rotation"], _MOST_ROTATION)
    _PARTS.get(shape, _no_parts)(below, value)
    if shape == "vector" or (shape in _NUMBERS and value.get("rotation")):
        for name in ("original_width", "original_height"):
            if type(region.get(name)) not in (int, float):
                why = "Label Studio's editor needs" if shape == "vector" else "a region with a rotation needs"
                raise InvalidOutput(f"{path}.{name}", f"is missing; {why} the size of the image in pixels")
    try:
        shapes.read(geometry_of(control, region))
    except ValueError as exc:
        raise InvalidOutput(below, str(exc)) from None


def _at_most(path: str, value: object, most: float) -> None:
    if value is None:
        raise InvalidOutput(path, "is missing")
    if fields.number(path, value) > most:
        side = {"x": "width", "width": "width", "y": "height", "height": "height"}.get(path.rpartition(".")[2])
        hint = f". It is in percent of the image: 100 * pixels / {side}" if side else ""
        raise InvalidOutput(path, f"must be at most {most:g}; it is {value}{hint}")


def _polygon(path: str, value: Mapping[str, Any]) -> None:
    _list(f"{path}.points", value.get("points"))


def _brush(path: str, value: Mapping[str, Any]) -> None:
    if value.get("format", "rle") != "rle":
        raise InvalidOutput(f"{path}.format", f"must be rle; it is {str(value['format'] or 'missing')[:40]}")
    for i, byte in enumerate(_list(f"{path}.rle", value.get("rle"))):
        if type(byte) is not int or not 0 <= byte <= 255:
            raise InvalidOutput(f"{path}.rle[{i}]", f"must be a whole number from 0 to 255; it is {str(byte)[:40]}")


def _bitmask(path: str, value: Mapping[str, Any]) -> None:
    _kept(path, value, "imageDataURL", str, none=False)
    _kept(path, value, "format", str)


def _vector(path: str, value: Mapping[str, Any]) -> None:
    _kept(path, value, "closed", bool)
    for i, vertex in enumerate(_list(f"{path}.vertices", value.get("vertices"))):
        below = f"{path}.vertices[{i}]"
        if not isinstance(vertex, dict):
            raise InvalidOutput(below, "must be an object")
        for name, type_ in (("id", str), ("prevPointId", str), ("isBezier", bool)):
            _kept(below, vertex, name, type_)


def _no_parts(path: str, value: Mapping[str, Any]) -> None:
    pass


def _kept(path: str, value: Mapping[str, Any], name: str, type_: type, *, none: bool = True) -> None:
    given = value.get(name)
    if given is None and not none:
        raise InvalidOutput(f"{path}.{name}", "is missing")
    if given is not None and type(given) is not type_:
        raise InvalidOutput(f"{path}.{name}", f"must be {'a text' if type_ is str else 'true or false'}")


def _list(path: str, value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InvalidOutput(path, "is missing" if value is None else "must be a list that is not empty")
    return value


_PARTS: Mapping[str, Callable[[str, Mapping[str, Any]], None]] = {
    "polygon": _polygon,
    "brush": _brush,
    "magicwand": _brush,
    "bitmask": _bitmask,
    "vector": _vector,
}
