"""Regions of an image: a JSON list of objects, sorted. Coordinates are in percent of the image, 0 to 100.

{"box":[x,y,width,height],"label":"car"}, with "rotation" in degrees clockwise around the top left corner if it is not 0

labelloop/labeling/kinds/marked.py says how regions are compared, and what people agree on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds import label, marked
from labelloop.labeling.kinds.marked import Geometry, Region

DIGITS = 4
"""Decimals of a coordinate: a hundredth of a pixel in an image of 10,000."""


def canonical(control: ControlTag, answer: object) -> str:
    return marked.canonical(GEOMETRY, control, answer)


def nearest(control: ControlTag, answer: str) -> str:
    return marked.nearest(GEOMETRY, control, answer)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    return marked.agreed(GEOMETRY, control, answers)


def score(control: ControlTag, answer: str, predicted: str) -> float:
    return marked.score(GEOMETRY, answer, predicted)


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return marked.measures(GEOMETRY, answer, predicted)


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return marked.labels_in(GEOMETRY, answer)


fits = label.fits


def _read(region: Mapping[str, Any]) -> Region:
    match region:
        case {"box": [x, y, width, height]} if all(type(n) in (int, float) for n in (x, y, width, height)):
            if width <= 0 or height <= 0 or x < 0 or y < 0 or x + width > 100.001 or y + height > 100.001:
                raise ValueError(f"a box lies within the image, from 0 to 100 percent; one is {region['box']}")
            return {"box": [round(float(n), DIGITS) for n in (x, y, width, height)]}
    raise ValueError(f"a region is an object such as {GEOMETRY.example}; one is {str(region)[:80]}")


def _similarity(one: Region, other: Region) -> float:
    """Return the intersection over union."""
    (x, y, w, h), (u, v, a, b) = one["box"], other["box"]
    both = max(0.0, min(x + w, u + a) - max(x, u)) * max(0.0, min(y + h, v + b) - max(y, v))
    return float(both / (w * h + a * b - both))


def _middle(regions: Sequence[Region]) -> Region:
    return {"box": [median(numbers) for numbers in zip(*(one["box"] for one in regions), strict=True)]}


GEOMETRY = Geometry(_read, _similarity, _middle, '{"box":[10,20,30,40],"label":"car"}')
