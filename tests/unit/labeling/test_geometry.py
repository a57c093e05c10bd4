"""Areas, overlaps and middles of regions: held to values that can be checked by hand, and to counting of points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.labeling.geometry import masks, outlines, shapes, similar
from labelloop.labeling.geometry.masks import Mask
from tests.support.data.regions import SHAPES, mask_regions, polygons

SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], dtype=float)
BOW = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], dtype=float)


@pytest.mark.parametrize(
    ("one", "other", "areas"),
    [
        (SQUARE, SQUARE, (100, 100, 100)),
        (SQUARE, SQUARE + 5, (100, 100, 25)),
        (SQUARE, SQUARE + np.array([10, 0]), (100, 100, 0)),
        (SQUARE, SQUARE[::-1] + 20, (100, 100, 0)),
        (SQUARE, np.array([[2, 2], [4, 2], [2, 4]], dtype=float), (100, 2, 2)),
        (SQUARE, np.array([[0, 0], [10, 0], [0, 10]], dtype=float), (100, 50, 50)),
        (BOW, SQUARE, (50, 100, 50)),
        (np.array([[0, 0], [6, 0], [6, 6], [3, 3], [0, 6]], dtype=float), SQUARE, (27, 100, 27)),
    ],
    ids=["same", "a quarter", "side by side", "apart", "inside", "half", "crossing itself", "not convex"],
)
def test_areas_of_outlines(one: Any, other: Any, areas: tuple[float, float, float]) -> None:
    assert outlines.areas(one, other) == pytest.approx(areas)
    assert outlines.areas(other, one).both == pytest.approx(areas[2])


@settings(max_examples=40, deadline=None)
@given(polygons(), polygons())
def test_areas_are_those_that_counted_points_have(one: Any, other: Any) -> None:
    a, b = (np.array(region["polygon"]) for region in (one, other))
    found = outlines.areas(a, b)
    counted = [masks.array_of(masks.of_outline(outline, 400, 400)) for outline in (a, b)]
    cell = 1 / 16
    expected = [counted[0].sum(), counted[1].sum(), (counted[0] & counted[1]).sum()]
    edges = 4 * (len(a) + len(b)) * 400 * cell * 0.25
    assert list(found) == pytest.approx([n * cell for n in expected], abs=edges)


def test_outlines_of_many_corners_are_measured_on_lines() -> None:
    angles = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    ring = np.stack([50 + 40 * np.cos(angles), 50 + 40 * np.sin(angles)], axis=1)
    found = outlines.areas(ring, ring + np.array([10, 0]))
    assert found.one == pytest.approx(np.pi * 1600, rel=1e-3)
    lens = 2 * 1600 * np.arccos(10 / 80) - 5 * np.sqrt(4 * 1600 - 100)
    assert found.both == pytest.approx(lens, rel=1e-3)


BOX = {"box": [10, 10, 20, 20]}


@pytest.mark.parametrize(
    ("one", "other", "similarity"),
    [
        (BOX, BOX, 1),
        (BOX, {"box": [20, 10, 20, 20]}, 1 / 3),
        (BOX, {"box": [30, 10, 20, 20]}, 0),
        (BOX, {"polygon": [[10, 10], [30, 10], [30, 30], [10, 30]]}, 1),
        (BOX, {"polygon": [[10, 10], [30, 10], [10, 30]]}, 0.5),
        (BOX, {"ellipse": [20, 20, 10, 10]}, np.pi / 4),
        (BOX, {"point": [20, 20]}, 0),
        ({"ellipse": [50, 50, 10, 20]}, {"ellipse": [50, 50, 10, 10]}, 0.5),
        # on a square image, a quarter turn about the top left corner puts the box to the left of it
        ({"box": [30, 10, 20, 20], "rotation": 90, "size": [100, 100]}, BOX, 1),
        # the same pixels of a wide image: 20 % of 200 are 40 pixels, 20 % of 100 are 20
        ({"box": [30, 10, 10, 40], "rotation": 90, "size": [200, 100]}, BOX, 1),
        ({"box": [30, 10, 20, 20], "rotation": 90, "size": [200, 100]}, {"box": [20, 10, 10, 40]}, 1),
        ({"ellipse": [50, 50, 10, 20], "rotation": 90, "size": [200, 100]}, {"ellipse": [50, 50, 10, 20]}, 1),
        ({"point": [10, 10]}, {"point": [10, 10]}, 1),
        ({"point": [10, 10]}, {"point": [10, 13]}, 0.5),
        ({"point": [10, 10]}, {"point": [10, 16]}, 1 / 16),
        ({"line": [[0, 0], [100, 0]], "size": [9, 9]}, {"line": [[0, 3], [50, 3], [100, 3]], "size": [9, 9]}, 0.5),
        ({"mask": [4, 2, [0, 4, 4]]}, {"mask": [4, 2, [2, 4, 2]]}, 1 / 3),
        ({"mask": [4, 2, [0, 4, 4]]}, {"mask": [8, 4, [0, 16, 16]]}, 1),
        ({"mask": [10, 10, [0, 50, 50]]}, {"box": [0, 0, 100, 50]}, 1),
        ({"mask": [10, 10, [0, 50, 50]]}, {"box": [0, 20, 100, 50]}, 3 / 7),  # the centres of five rows, and of three
        ({"page": 1, **BOX}, BOX, 0),
        ({"image": "second", **BOX}, BOX, 0),
    ],
)
def test_how_similar_two_regions_are(one: Any, other: Any, similarity: float) -> None:
    assert similar.similarity(one, other) == pytest.approx(similarity, abs=1e-3)
    assert similar.similarity(other, one) == pytest.approx(similarity, abs=1e-3)
    if similarity >= 0.5:
        assert similar.table([one, BOX], [other], 0.5)[0, 0] == pytest.approx(similarity, abs=1e-3)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_region_is_the_same_as_itself_and_its_own_middle(shape: str, data: st.DataObject) -> None:
    region = shapes.read(data.draw(SHAPES[shape]))
    assert similar.similarity(region, region) == pytest.approx(1, abs=1e-6)
    middle = shapes.read(similar.middle([region, region, region]))
    assert similar.similarity(region, middle) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("regions", "middle"),
    [
        ([{"box": [10, 10, 20, 20]}, {"box": [12, 10, 20, 20]}], {"box": [11, 10, 20, 20]}),
        ([{"box": [0, 0, 10, 10]}, {"box": [1, 1, 10, 10]}, {"box": [9, 0, 9, 9]}], {"box": [1, 0, 10, 10]}),
        ([{"point": [1, 1]}, {"point": [2, 9]}, {"point": [3, 2]}], {"point": [2, 2]}),
        ([{"mask": [4, 1, [0, 2, 2]]}, {"mask": [4, 1, [1, 2, 1]]}], {"mask": [4, 1, [1, 1, 2]]}),
        (
            [{"mask": [4, 1, [0, 2, 2]]}, {"mask": [4, 1, [1, 2, 1]]}, {"mask": [4, 1, [1, 3]]}],
            {"mask": [4, 1, [1, 2, 1]]},
        ),
        (
            [
                {"polygon": [[0, 0], [9, 0], [0, 9]]},
                {"box": [0, 0, 9, 9]},
                {"polygon": [[0, 0], [9, 0], [9, 9], [1, 9]]},
            ],
            {"box": [0, 0, 9, 9]},
        ),
        (
            [{"ellipse": [50, 50, 10, 10], "page": 2}, {"ellipse": [52, 50, 12, 10], "page": 2}],
            {"ellipse": [51, 50, 11, 10], "page": 2},
        ),
    ],
    ids=[
        "two boxes",
        "three boxes",
        "points",
        "a tied pixel is background",
        "masks",
        "the nearest to the others",
        "ellipses",
    ],
)
def test_the_middle_of_regions(regions: Any, middle: Any) -> None:
    assert similar.middle(regions) == middle


def test_the_middle_of_turned_boxes_has_the_median_of_the_rotations() -> None:
    def turned(rotation: float) -> Any:
        corner = shapes.turned([[40, 45]], (50, 50), rotation, (200, 100))[0].tolist()
        return {"box": [*corner, 20, 10], "size": [200, 100]} | ({"rotation": rotation} if rotation else {})

    found = shapes.read(similar.middle([turned(0), turned(350), turned(20)]))
    assert found == shapes.read({"box": [40, 45, 20, 10]})
    across = similar.middle([turned(10), turned(100)])  # too different: one of them
    assert across in (turned(10), turned(100))


@settings(max_examples=50)
@given(mask_regions())
def test_a_mask_as_an_array_and_back(region: Any) -> None:
    width, height, runs = region["mask"]
    mask = masks.of_runs(width, height, runs)
    pixels = masks.array_of(mask)
    assert pixels.shape == (height, width)
    assert pixels.sum() == masks.pixels_of(mask)
    again = masks.of_array(pixels)
    assert masks.runs_of(again) == runs
    rows, columns = np.nonzero(pixels)
    expected = (columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height)
    assert masks.box_of(mask) == pytest.approx([100 * edge for edge in expected])


@given(mask_regions(), mask_regions(), st.integers(2, 5))
def test_masks_overlap_as_their_arrays_do(one: Any, other: Any, people: int) -> None:
    a = masks.of_runs(*one["mask"])
    b = masks.resized(masks.of_runs(*other["mask"]), a.width, a.height)
    x, y = masks.array_of(a), masks.array_of(b)
    expected = (x & y).sum() / (x | y).sum()
    assert masks.overlap(a, b) == pytest.approx(expected)
    votes = sum((pixels.astype(int) for pixels in [x, *[y] * (people - 1)]), np.zeros(x.shape, dtype=int))
    assert masks.runs_of(masks.majority([a, *[b] * (people - 1)])) == masks.runs_of(masks.of_array(2 * votes > people))


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(
        ValueError, match="a mask of 4 x 2 has 8 pixels; its runs have 9: it is one of an image of another"
    ):
        masks.of_runs(4, 2, [4, 5])
    assert masks.runs_of(Mask(4, 2, np.array([0, 8]))) == [0, 8]
