"""COCO's pixels and our percents, and its run lengths and ours."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.errors import InvalidOutput
from labelloop.outputs.formats import coco, rle
from labelloop.outputs.formats.coco import SHAPES, Writer, regions

SIDE = st.integers(1, 40)
CATEGORIES: dict[Any, dict[str, Any]] = {1: {"id": 1, "name": "car"}}


@given(SIDE, SIDE, st.randoms(use_true_random=False))
def test_a_mask_survives_coco(width: int, height: int, random: Any) -> None:
    mask = np.array([[random.random() < 0.5 for _ in range(width)] for _ in range(height)])
    runs = rle._runs(mask)
    assert (rle.mask_of(runs, width, height) == mask).all()
    counts = rle.to_columns(runs, width, height)
    assert rle.from_columns(counts, width, height) == runs
    assert rle.from_text(rle.to_text(counts)) == counts


def test_the_compressed_counts_are_those_of_pycocotools() -> None:
    # Made with pycocotools 2.0: a 4 x 3 picture (width, height) with the pixels (1, 0), (1, 1), (2, 2) set.
    assert rle.from_text("323O0") == [3, 2, 3, 1, 3]
    assert rle.to_text([3, 2, 3, 1, 3]) == "323O0"


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.data())
def test_a_box_in_pixels_survives_our_percents(width: int, height: int, data: Any) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    w, h = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    annotation = {"category_id": 1, "bbox": [x, y, w, h]}
    found = regions(annotation, CATEGORIES, width, height, SHAPES, Counter())
    [back] = Writer(Counter()).annotations(found, 1, width, height)
    assert back["bbox"] == [x, y, w, h]


PERCENT = st.integers(0, 1_000_000).map(lambda n: n / 10_000)


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.lists(st.tuples(PERCENT, PERCENT), min_size=3, max_size=5))
def test_percents_of_four_decimals_survive_the_pixels(width: int, height: int, corners: Any) -> None:
    (x, y), (w, h) = corners[:2]
    answers: list[dict[str, Any]] = [
        {"polygon": [list(corner) for corner in corners], "label": "car"},
        {"point": [x, y], "label": "car"},
    ]
    if w and h:
        answers.append({"box": [x, y, w, h], "label": "car"})
    writer = Writer(Counter())
    for answer in answers:
        [made] = writer.annotations([answer], 1, width, height)
        categories = {one["id"]: one for one in writer.categories()}
        assert regions(made, categories, width, height, SHAPES, Counter()) == [answer]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": "1"}, "category_id: no category '1'; there are: 1"),
        ({"category_id": None}, "category_id: is missing"),
        ({"bbox": None}, "bbox: is missing"),
    ],
)
def test_a_missing_part_of_an_annotation_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        regions({"category_id": 1, "bbox": [1, 1, 2, 2], **change}, CATEGORIES, 10, 10, SHAPES, Counter())
    assert str(caught.value) == message


def test_polygons_key_points_and_masks_become_our_regions() -> None:
    tally: Counter[str] = Counter()

    def of(**one: Any) -> list[coco.Region]:
        return regions({"category_id": 1, **one}, CATEGORIES, 200, 100, SHAPES, tally)

    assert of(segmentation=[[0, 0, 200, 0, 200, 100], [20, 10, 40, 10, 40, 20]]) == [
        {"polygon": [[0, 0], [100, 0], [100, 100]], "label": "car"},
        {"polygon": [[10, 10], [20, 10], [20, 20]], "label": "car"},
    ]
    assert of(keypoints=[20, 10, 2, 0, 0, 0]) == [{"point": [10, 10], "label": "car"}]
    picture = {"size": [100, 200], "counts": [100, 100, 19_800]}  # the second column
    [region] = of(segmentation=picture)
    assert region["mask"][:2] == [200, 100]
    assert region["mask"][2][:3] == [1, 1, 199]
    assert tally[coco.PARTS] == 1


def test_a_mask_is_written_with_its_box_and_area() -> None:
    [made] = Writer(Counter()).annotations([{"mask": [4, 3, [1, 1, 3, 1, 4, 1, 1]], "label": "car"}], 7, 4, 3)
    assert made["segmentation"] == {"size": [3, 4], "counts": [3, 2, 3, 1, 3]}
    assert (made["bbox"], made["area"], made["image_id"]) == ([1, 0, 2, 3], 3, 7)


def test_what_coco_has_no_shape_for_becomes_a_polygon_and_is_told() -> None:
    tally: Counter[str] = Counter()
    writer = Writer(tally)
    found: list[coco.Region] = [
        {"box": [50, 50, 10, 20], "rotation": 90, "label": "car"},
        {"ellipse": [50, 50, 10, 5]},
        {"point": [1, 2], "label": "eye"},
    ]
    turned, around, point = writer.annotations(found, 1, 100, 100)
    assert turned["bbox"] == [30, 50, 20, 10]
    assert around["area"] == pytest.approx(np.pi * 10 * 5, rel=0.01)
    assert point["keypoints"] == [1, 2, 2]
    assert tally == {coco.ROTATED: 1, coco.ELLIPSE: 1, coco.UNLABELLED: 1}
    assert [one["name"] for one in writer.categories()] == ["car", "region", "eye"]
    assert writer.categories()[2]["keypoints"] == ["eye"]


@pytest.mark.parametrize(
    ("annotation", "path"),
    [
        ({"category_id": 9, "bbox": [0, 0, 1, 1]}, "category_id"), ({"category_id": 1, "bbox": [0, 0, 0, 5]}, "bbox"),
        ({"category_id": 1, "bbox": [0, 0, "1", 5]}, "bbox"), ({"category_id": 1}, "bbox"),
        ({"category_id": 1, "segmentation": [[0, 0, 1, 1]]}, "segmentation"),
        ({"category_id": 1, "segmentation": {"size": [5, 5], "counts": [25]}}, "segmentation.size"),
        ({"category_id": 1, "segmentation": {"size": [100, 200], "counts": [7]}}, "segmentation.counts"),
        ({"category_id": 1, "segmentation": {"size": [100, 200], "counts": "o"}}, "segmentation.counts"),
        ({"category_id": 1, "keypoints": [1, 2]}, "keypoints"),
    ],
)  # fmt: skip
def test_a_wrong_annotation_is_told_with_its_path(annotation: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidOutput) as caught:
        regions(annotation, CATEGORIES, 200, 100, SHAPES, Counter())
    assert caught.value.path == path
