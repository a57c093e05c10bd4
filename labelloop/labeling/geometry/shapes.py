"""Shapes: what a region of an image may be, checked and in one form. Coordinates are in percent of the image. Pure.

{"box":[x,y,width,height]}      top left corner and size; "rotation" turns it about this corner
{"polygon":[[x,y],...]}         at least three corners; the start and the direction do not matter
{"ellipse":[x,y,rx,ry]}         centre and radii; "rotation" turns it about the centre
{"point":[x,y]}
{"line":[[x,y],...]}            at least two points, in order; [x,y,x1,y1,x2,y2] is a point of a curve, with its two
                                control points
{"mask":[width,height,[run,...]]}  pixels: see labelloop/labeling/geometry/masks.py

"rotation" is in degrees clockwise, as Label Studio has it: in pixels. So it needs "size":[width,height], the size of
the image in pixels. Both are absent if nothing is turned.

A line always has "size": without it, Label Studio's editor draws the line at another place. A part "closed":true joins
its ends. A part "from" has the place of the point that each point continues, or null, if that is not the one before.

"page" counts the images of a list from 0, and "image" names the Image of the form. Both are absent for the first one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

DIGITS = 4
"""Decimals of a coordinate: a hundredth of a pixel in an image of 10,000."""
BESIDE = 0.01
"""Percent of the image that a coordinate may lie outside of it, by rounding; it is moved to the edge."""
MOST_POINTS = 10_000
MOST_PNG_PIXELS = 50_000_000
"""Largest number of pixels of a mask that is a PNG picture: reading one takes 7 bytes a pixel, writing it 10."""
BOUND = 1e6
"""Bound of every number: an area of larger ones would not be exact."""
TURNS = ("box", "ellipse")
SHAPES: Mapping[str, tuple[str, ...]] = {
    "box": ("rotation", "size"),
    "polygon": (),
    "ellipse": ("rotation", "size"),
    "point": (),
    "line": ("closed", "from", "size"),
    "mask": (),
}
"""The shapes, and the parts that each may have beside itself."""
WHERE = ("page", "image")
EXAMPLE = '{"box":[10,20,30,40],"label":"car"}'
Region = dict[str, Any]


def shape_of(region: Mapping[str, Any]) -> str:
    """Return the name of the region's shape. Raises ValueError if it does not have exactly one."""
    found = [name for name in SHAPES if name in region]
    if len(found) != 1:
        raise ValueError(f"a region has one of {', '.join(SHAPES)}, such as {EXAMPLE}; one is {str(dict(region))[:80]}")
    return found[0]


def read(region: Mapping[str, Any]) -> Region:
    """Check a region without its label, and return it in its one form. Raises ValueError with the reason."""
    shape = shape_of(region)
    for name in region:
        if name not in (shape, *SHAPES[shape], *WHERE):
            hint = (
                "; the confidences of the regions are sent as evidence.boxes" if name in ("score", "confidence") else ""
            )
            raise ValueError(f"a {shape} has no {name[:40]!r}{hint}")
    found: Region = {shape: _READERS[shape](region[shape])}
    if shape in TURNS:
        found |= _turn(shape, region)
        if not found.get("rotation"):
            found[shape] = _within(shape, found[shape])
        elif not (0 <= (centre := _centre(found))[0] <= 100 and 0 <= centre[1] <= 100):
            raise ValueError(f"a {shape} lies within the image; the centre of one is at {_short(centre)} percent")
    if shape == "line":
        found |= _joints(region, len(found["line"])) | {"size": _size("a line", region)}
    page, image = region.get("page", 0), region.get("image", "")
    if type(page) is not int or page < 0:
        raise ValueError(f"`page` counts the images of a list from 0; it is {_told(page, 40)}")
    if not isinstance(image, str):
        raise ValueError(f"`image` is the name of an Image of the form; it is {_told(image, 40)}")
    return found | ({"page": page} if page else {}) | ({"image": image} if image else {})


def check_png(width: int, height: int) -> None:
    """Raise ValueError if a mask of this size is too large for a PNG picture."""
    if width * height > MOST_PNG_PIXELS:
        raise ValueError(
            f"the picture of a bitmask has at most {MOST_PNG_PIXELS:,} pixels; one is {width} x {height}: draw it "
            "with a Brush, whose masks may be larger"
        )


def turned(points: Any, about: Sequence[float], degrees: float, size: Sequence[float]) -> Any:
    """Return points, shape (n, 2), turned clockwise on an image of this size in pixels."""
    import numpy as np

    scale = np.array(size, dtype=float) / 100
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    away = (np.asarray(points, dtype=float) - about) * scale
    return away @ np.array([[cosine, sine], [-sine, cosine]]) / scale + about


def _centre(region: Region) -> tuple[float, float]:
    if "ellipse" in region:
        return region["ellipse"][0], region["ellipse"][1]
    x, y, width, height = region["box"]
    centre = turned([[x + width / 2, y + height / 2]], (x, y), region["rotation"], region["size"])
    return float(centre[0, 0]), float(centre[0, 1])


def _numbers(what: str, given: object, *counts: int) -> list[float]:
    """Return the numbers of a list, rounded. Raises ValueError if one is none, or if there are not that many."""
    if not isinstance(given, list | tuple) or len(given) not in counts:
        raise ValueError(f"{what}; one is {str(given)[:80]}")
    found = []
    for number in given:
        if not _is_number(number):
            told = f"{number[:40]!r} is a text" if isinstance(number, str) else f"{str(number)[:40]} is no number"
            below = "" if isinstance(number, str) else f" below {BOUND:,.0f}"
            raise ValueError(f"{what}; in {str(given)[:80]}, {told}{below}")
        found.append(round(float(number), DIGITS) + 0.0)  # never -0.0
    return found


def _box(given: object) -> list[float]:
    x, y, width, height = _numbers("a box is [x, y, width, height] in percent of the image", given, 4)
    if width <= 0 or height <= 0:
        raise ValueError(f"a box has a width and a height of more than 0; one is {str(given)[:80]}")
    return [x, y, width, height]


def _ellipse(given: object) -> list[float]:
    x, y, across, down = _numbers("an ellipse is [x, y, rx, ry] in percent of the image", given, 4)
    if across <= 0 or down <= 0:
        raise ValueError(f"an ellipse has radii of more than 0; one is {str(given)[:80]}")
    if not (_beside(x) and _beside(y)):
        raise ValueError(
            f"the centre of an ellipse lies within the image, from 0 to 100 percent; one is {given}{_pixels(x, y)}"
        )
    return [_moved(x), _moved(y), across, down]


def _within(shape: str, numbers: list[float]) -> list[float]:
    """Return a box that nothing turns, moved to the edges of the image if rounding has put it beside them."""
    if shape == "ellipse":
        return numbers
    x, y, width, height = numbers
    right, bottom = x + width, y + height
    if not all(_beside(edge) for edge in (x, y, right, bottom)):
        raise ValueError(
            f"a box lies within the image, from 0 to 100 percent; one is {_short(numbers)}{_pixels(*numbers)}"
        )
    x, y, right, bottom = (_moved(edge) for edge in (x, y, right, bottom))
    if right <= x or bottom <= y:
        raise ValueError(f"a box lies within the image, from 0 to 100 percent; one is {_short(numbers)}")
    return [x, y, round(right - x, DIGITS), round(bottom - y, DIGITS)]


def _point(given: object) -> list[float]:
    return _points("a point is [x, y] in percent of the image", [given])[0]


def _points(what: str, given: object, *counts: int) -> list[list[float]]:
    if not isinstance(given, list | tuple) or len(given) > MOST_POINTS:
        raise ValueError(f"{what}; one is {str(given)[:80]}")
    points = [_numbers(what, point, *(counts or (2,))) for point in given]
    for point in points:
        if not all(_beside(edge) for edge in point[:2]):
            raise ValueError(
                f"a point lies within the image, from 0 to 100 percent; one is {_short(point)}{_pixels(*point[:2])}"
            )
    return [[*map(_moved, point[:2]), *point[2:]] for point in points]


def _polygon(given: object) -> list[list[float]]:
    """Return the corners without repeated ones, from the smallest on, in the direction whose list is smaller."""
    points = _points("a polygon is a list of corners [x, y] in percent of the image", given)
    corners = [point for i, point in enumerate(points) if point != points[i - 1]] if len(points) > 1 else points
    if len(corners) < 3:
        raise ValueError(f"a polygon has at least three different corners; one has {len(corners)}: {_short(given)}")
    import numpy as np

    at = np.array(corners) - corners[0]
    far = at[np.argmax(np.abs(at).sum(axis=1))]
    if np.abs(at[:, 0] * far[1] - at[:, 1] * far[0]).max() < 10 ** (-2 * DIGITS) / 2:
        raise ValueError(f"a polygon has an area; the corners of one lie on a line: {_short(given)}")
    first = min(corners)
    ways = ((way, i) for way in (corners, corners[::-1]) for i, corner in enumerate(way) if corner == first)
    return min(way[i:] + way[:i] for way, i in ways)  # one at a time: an outline may pass its first corner often


def _line(given: object) -> list[list[float]]:
    points = _points("a line is a list of points [x, y] in percent of the image", given, 2, 6)
    if len(points) < 2:
        raise ValueError(f"a line has at least two points; one has {len(points)}")
    return points


def _joints(region: Mapping[str, Any], points: int) -> Region:
    closed, before = region.get("closed", False), region.get("from")
    if type(closed) is not bool:
        raise ValueError(f"`closed` of a line is true or false; it is {_told(closed, 40)}")
    found: Region = {"closed": True} if closed else {}
    if before is None or before == [None, *range(points - 1)]:
        return found
    if not isinstance(before, list) or len(before) != points or not all(_is_place(one, points) for one in before):
        raise ValueError(
            f"`from` of a line has the place of a point, or null, for each point; it is {str(before)[:80]}"
        )
    return found | {"from": before}


def _is_place(one: object, points: int) -> bool:
    return one is None or (type(one) is int and 0 <= one < points)


def _mask(given: object) -> list[Any]:
    from labelloop.labeling.geometry import masks

    match given:
        case [width, height, [*runs]]:
            mask = masks.of_runs(cast(int, width), cast(int, height), cast("list[int]", runs))
        case _:
            raise ValueError(f"a mask is [width, height, [runs]] in pixels; one is {str(given)[:80]}")
    if not len(mask.bounds):
        raise ValueError(f"a mask has at least one pixel of its region; one of {width} x {height} has none")
    return [width, height, masks.runs_of(mask)]


def _turn(shape: str, region: Mapping[str, Any]) -> Region:
    """Return rotation and size; {} if nothing is turned."""
    given = region.get("rotation", 0)
    if not _is_number(given):
        raise ValueError(f"`rotation` is in degrees; it is {_told(given, 40)}")
    whole = 180 if shape == "ellipse" else 360
    rotation = round(float(given) % whole, DIGITS) % whole
    if not rotation:
        return {}
    return {"rotation": rotation, "size": _size(f"a {shape} with a rotation", region)}


def _size(what: str, region: Mapping[str, Any]) -> list[int]:
    size = region.get("size")
    if not isinstance(size, list | tuple) or len(size) != 2 or not all(type(n) is int and 0 < n < BOUND for n in size):
        raise ValueError(
            f'{what} has the size of its image in pixels, such as "size":[640,480]; it is {_told(size, 40)}'
        )
    return list(size)


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < BOUND  # NaN is not


def _beside(edge: float) -> bool:
    return -BESIDE <= edge <= 100 + BESIDE


def _moved(edge: float) -> float:
    return min(max(edge, 0.0), 100.0)


def _pixels(*numbers: float) -> str:
    """Return a hint if numbers are so large that they may be pixels."""
    if max(numbers) <= 100 + BESIDE:
        return ""
    return ". For a place in pixels, send 100 * x / width and 100 * y / height of the image"


def _told(given: object, most: int) -> str:
    return "missing" if given is None else str(given)[:most]


def _short(given: object) -> str:
    text = str(list(given) if isinstance(given, tuple) else given)
    return text if len(text) <= 80 else text[:80] + "..."


_READERS: Mapping[str, Any] = {
    "box": _box,
    "polygon": _polygon,
    "ellipse": _ellipse,
    "point": _point,
    "line": _line,
    "mask": _mask,
}
