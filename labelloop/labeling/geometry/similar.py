"""Similar: how similar two regions of an image are, and the middle of several. Pure.

Regions with an area have their intersection over union, whatever their shapes. Masks are compared by pixel, and another
shape with a mask by the pixels of the mask. All other shapes are compared exactly (outlines.py). An ellipse counts as
the 128 corners of a polygon with its area: the error is below 0.001.

Points and lines have no area. Their similarity is 2 ** -(d / NEAR) ** 2, with a distance d in percent of the image. It
is the distance of two points, or the mean distance of each line's points from the other line. This is the object
keypoint similarity of COCO with the image as the object. It is 0.5 at a distance of NEAR.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from labelloop.labeling.geometry import masks, outlines
from labelloop.labeling.geometry.masks import Mask
from labelloop.labeling.geometry.outlines import Outline
from labelloop.labeling.geometry.shapes import DIGITS, Region, shape_of, turned

NEAR = 3.0
"""Distance of two points, in percent of the image's width and height, at which their similarity is 0.5."""
CORNERS = 128
"""Corners of the polygon that stands for an ellipse."""
STEPS = 16
"""Straight pieces that stand for a curve between two points of a line."""
SAMPLES = 100
"""Points on a line at which its distance from another one is measured."""
STRAIGHT = 45
"""Largest difference of rotations, in degrees, whose median is the rotation of the middle."""
Array = npt.NDArray[np.float64]


class Extent(NamedTuple):
    """Place and area of a region, in percent of the image; nan for a region without an area."""

    left: float
    top: float
    right: float
    bottom: float
    area: float


NO_EXTENT = Extent(*[float("nan")] * 5)


def table(ones: Sequence[Region], others: Sequence[Region], least: float) -> Array:
    """Return the similarity of each two regions. Shape (n_ones, n_others), from 0 to 1.

    A similarity below `least` may be given as 0. Regions of different pages or images have 0.
    """
    found = np.zeros((len(ones), len(others)))
    one, other = (_extents(regions) for regions in (ones, others))
    straight = np.logical_and.outer(*(np.array([_is_plain_box(r) for r in regions]) for regions in (ones, others)))
    with np.errstate(invalid="ignore"):
        most = _most(one, other)
        exact = straight & (most >= least)
        found[exact] = most[exact]  # two such boxes share all of what their extents share
        overlapping = ~straight & (most >= least)
        pairs = np.argwhere(overlapping).tolist()
        found[overlapping] = _overlaps([ones[i] for i, _ in pairs], [others[j] for _, j in pairs])
    for similarity, is_such in ((_near_points, _is_point), (_near_lines, _is_line)):
        rows, columns = ([i for i, region in enumerate(regions) if is_such(region)] for regions in (ones, others))
        if rows and columns:
            found[np.ix_(rows, columns)] = similarity([ones[i] for i in rows], [others[j] for j in columns], least)
    for name, first in (("page", 0), ("image", "")):
        places = [np.array([region.get(name, first) for region in regions]) for regions in (ones, others)]
        found[places[0][:, None] != places[1][None, :]] = 0.0
    return found


def similarity(one: Region, other: Region) -> float:
    return float(table([one], [other], 0.0)[0, 0])


def middle(regions: Sequence[Region]) -> Region:
    """Return the middle of several similar regions of one page.

    Boxes: the median of each edge. Points and ellipses: the median of each number. Turned ones: the median of centre,
    size and rotation. Masks of one size: the pixels that more than half of them have. Everything else: the one that is
    most similar to the others.
    """
    first = regions[0]
    shape = shape_of(first)
    where = {name: first[name] for name in ("page", "image") if name in first}
    values = [region[shape] for region in regions if shape in region]
    if len(values) < len(regions):
        return _medoid(regions)
    if any("rotation" in region for region in regions):
        return _turned_middle(shape, regions) | where
    if shape == "box":
        left, top, right, bottom = _medians([[x, y, x + width, y + height] for x, y, width, height in values])
        return {"box": [left, top, right - left, bottom - top]} | where
    if shape in ("point", "ellipse"):
        return {shape: _medians(values)} | where
    if shape == "mask" and len({(width, height) for width, height, _ in values}) == 1:
        found = masks.majority([_mask(region) for region in regions])
        if len(found.bounds):
            return {"mask": [found.width, found.height, masks.runs_of(found)]} | where
    return _medoid(regions)


def _medians(rows: Sequence[Sequence[float]]) -> list[float]:
    return [round(float(median(numbers)), DIGITS) for numbers in zip(*rows, strict=True)]


def _medoid(regions: Sequence[Region]) -> Region:
    above = np.triu(table(regions, regions, 0.0), 1)  # one half: the other one may differ by rounding
    return regions[int(np.argmax(above.sum(axis=0) + above.sum(axis=1)))]


def _turned_middle(shape: str, regions: Sequence[Region]) -> Region:
    size = next(region["size"] for region in regions if "size" in region)
    whole = 180 if shape == "ellipse" else 360
    turns = [region.get("rotation", 0.0) for region in regions]
    beside = [(turn - turns[0] + whole / 2) % whole - whole / 2 for turn in turns]
    if max(beside) - min(beside) > STRAIGHT:
        return _medoid(regions)
    rotation = (turns[0] + median(beside)) % whole
    if shape == "ellipse":
        return {"ellipse": _medians([region["ellipse"] for region in regions]), "rotation": rotation, "size": size}
    corners = [outline_of(region) for region in regions]
    across, down = _medians([corner.mean(axis=0).tolist() for corner in corners])
    width, height = _medians([region["box"][2:] for region in regions])
    x, y = turned([[across - width / 2, down - height / 2]], (across, down), rotation, size)[0]
    return {"box": [float(x), float(y), width, height], "rotation": rotation, "size": size}


def outline_of(region: Region) -> Outline:
    """Return the corners of a region with an area that is no mask, in percent of the image."""
    shape = shape_of(region)
    if shape == "polygon":
        return np.array(region["polygon"], dtype=float)
    if shape == "ellipse":
        x, y, across, down = region["ellipse"]
        angles = np.arange(CORNERS) * (2 * np.pi / CORNERS)
        larger = np.sqrt(2 * np.pi / CORNERS / np.sin(2 * np.pi / CORNERS))
        points = np.stack([x + larger * across * np.cos(angles), y + larger * down * np.sin(angles)], axis=1)
    else:
        x, y, width, height = region["box"]
        points = np.array([[x, y], [x + width, y], [x + width, y + height], [x, y + height]], dtype=float)
    if "rotation" in region:
        points = turned(points, (x, y), region["rotation"], region["size"])
    return points


def pieces_of(region: Region) -> Array:
    """Return the straight pieces of a line as rows x1, y1, x2, y2; each curve gives STEPS of them."""
    points = region["line"]
    before = region.get("from") or [None, *range(len(points) - 1)]
    joints = [(start, end) for end, start in enumerate(before) if start is not None] or [(0, 0)]
    share = (np.arange(1, STEPS + 1) / STEPS)[:, None]
    found = []
    for start, end in [*joints, *([(len(points) - 1, 0)] if region.get("closed") else [])]:
        first, last = points[start], points[end]
        a, d = np.array(first[:2]), np.array(last[:2])
        if len(first) == len(last) == 2:
            found.append([[*a, *d]])
            continue
        b, c = np.array(first[4:] or first[:2]), np.array(last[2:4] or last[:2])
        rest = 1 - share
        curve = rest**3 * a + 3 * rest**2 * share * b + 3 * rest * share**2 * c + share**3 * d
        found.append(np.concatenate([np.concatenate([a[None], curve[:-1]]), curve], axis=1).tolist())
    return np.array([piece for pieces in found for piece in pieces]).reshape(-1, 4)


def _mask(region: Region) -> Mask:
    width, height, runs = region["mask"]
    bounds = np.cumsum(np.array(runs, dtype=np.int64))
    return Mask(width, height, bounds[: len(bounds) // 2 * 2])


def _is_plain_box(region: Region) -> bool:
    return "box" in region and "rotation" not in region


def _is_point(region: Region) -> bool:
    return "point" in region


def _is_line(region: Region) -> bool:
    return "line" in region


def _extents(regions: Sequence[Region]) -> Array:
    """Return the extent of each region. Shape (n_regions, 5)."""
    drawn = {i: outline_of(region) for i, region in enumerate(regions) if _has_outline(region)}
    areas = outlines.areas_of([(outline, outline[:1]) for outline in drawn.values()])
    found = np.array([_extent(region) for region in regions])
    for (i, outline), area in zip(drawn.items(), areas, strict=True):
        found[i] = *outline.min(axis=0), *outline.max(axis=0), area.one
    return found


def _has_outline(region: Region) -> bool:
    return not (_is_plain_box(region) or _is_point(region) or _is_line(region) or "mask" in region)


def _extent(region: Region) -> Extent:
    if _is_plain_box(region):
        x, y, width, height = region["box"]
        right, bottom = x + width, y + height
        return Extent(x, y, right, bottom, (right - x) * (bottom - y))  # as the shared part is measured: 1 for the same
    if "mask" in region:
        mask = _mask(region)
        return Extent(*masks.box_of(mask), area=masks.pixels_of(mask) / (mask.width * mask.height) * 1e4)
    return NO_EXTENT


def _most(one: Array, other: Array) -> Array:
    """Return the largest possible intersection over union of each two extents; the exact one of two boxes."""
    left, top, right, bottom, area = (one[:, None, i] for i in range(5))
    left_, top_, right_, bottom_, area_ = (other[None, :, i] for i in range(5))
    across = np.minimum(right, right_) - np.maximum(left, left_)
    down = np.minimum(bottom, bottom_) - np.maximum(top, top_)
    both = np.minimum(np.maximum(across, 0) * np.maximum(down, 0), np.minimum(area, area_))
    return np.asarray(both / (area + area_ - both))


def _overlaps(ones: Sequence[Region], others: Sequence[Region]) -> list[float]:
    """Return the intersection over union of each two regions with an area."""
    found = [1.0] * len(ones)
    pairs = [i for i, (one, other) in enumerate(zip(ones, others, strict=True)) if one != other]
    drawn = [i for i in pairs if "mask" not in ones[i] and "mask" not in others[i]]
    for i in sorted(set(pairs) - set(drawn)):
        size = (ones[i].get("mask") or others[i]["mask"])[:2]
        one, other = (
            _mask(region) if "mask" in region else masks.of_outline(outline_of(region), *size)
            for region in (ones[i], others[i])
        )
        found[i] = masks.overlap(one, other)
    areas = outlines.areas_of([(outline_of(ones[i]), outline_of(others[i])) for i in drawn])
    for i, (area, its_area, both) in zip(drawn, areas, strict=True):
        found[i] = both / (area + its_area - both)
    return found


def _falling(distances: Array | float) -> Array:
    return np.asarray(2.0 ** -((distances / NEAR) ** 2))


def _near_points(ones: Sequence[Region], others: Sequence[Region], least: float) -> Array:
    one, other = (np.array([region["point"] for region in regions]) for regions in (ones, others))
    return _falling(np.linalg.norm(one[:, None] - other[None, :], axis=2))


def _near_lines(ones: Sequence[Region], others: Sequence[Region], least: float) -> Array:
    one, other = (np.array([_sampled(pieces_of(region)) for region in regions]) for regions in (ones, others))
    (low, high), (its_low, its_high) = ((points.min(axis=1), points.max(axis=1)) for points in (one, other))
    between = np.maximum(low[:, None] - its_high[None, :], its_low[None, :] - high[:, None])
    most = _falling(np.linalg.norm(np.maximum(between, 0), axis=2))  # no two of their points are nearer
    found = np.zeros(most.shape)
    for i, j in np.argwhere(most >= least).tolist():
        found[i, j] = _falling(_apart(one[i], other[j]))
    return found


def _sampled(pieces: Array) -> Array:
    """Return SAMPLES points at equal distances along the pieces."""
    ends = np.cumsum(np.hypot(*(pieces[:, 2:] - pieces[:, :2]).T))
    at = (np.arange(SAMPLES) + 0.5) / SAMPLES * ends[-1]
    place = np.minimum(np.searchsorted(ends, at), len(ends) - 1)
    starts = np.concatenate([[0.0], ends[:-1]])
    share = (at - starts[place]) / np.maximum(ends[place] - starts[place], 1e-12)
    return np.asarray(pieces[place, :2] + share[:, None] * (pieces[place, 2:] - pieces[place, :2]))


def _apart(one: Array, other: Array) -> float:
    squares = (one[:, None, 0] - other[None, :, 0]) ** 2 + (one[:, None, 1] - other[None, :, 1]) ** 2
    return float((np.sqrt(squares.min(axis=0)).mean() + np.sqrt(squares.min(axis=1)).mean()) / 2)
