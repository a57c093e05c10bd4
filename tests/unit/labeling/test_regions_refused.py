"""Regions of images that cannot be: refused at the door with the reason, and no answer if Label Studio has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelloop.answers.unreadable import why_unreadable
from labelloop.labeling import kinds, results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.geometry import brush, masks
from tests.support.data.regions import SPLIT, form

SPLIT_FORM = LabelingConfig.parse(SPLIT, ("label",))
BAD = [
    (
        "RectangleLabels",
        {"box": [90, 10, 20, 20]},
        "a box lies within the image, from 0 to 100 percent; one is [90.0, 10.0",
    ),
    ("RectangleLabels", {"box": [-5, 10, 20, 20]}, "a box lies within the image"),
    ("RectangleLabels", {"box": [10, 10, 0, 20]}, "a box has a width and a height of more than 0"),
    (
        "RectangleLabels",
        {"box": [10, 10, 20]},
        "a box is [x, y, width, height] in percent of the image; one is [10, 10, 20]",
    ),
    ("RectangleLabels", {"box": [10, 10, 20, float("nan")]}, "nan is no number"),
    ("RectangleLabels", {"box": [10, 10, 20, "20"]}, "in [10, 10, 20, '20'], '20' is a text"),
    ("RectangleLabels", {"box": [110, 10, 200, 20]}, "For a place in pixels, send 100 * x / width"),
    ("VectorLabels", {"line": [[1, 1], [2, 2]]}, '"size":[640,480]; it is missing'),
    ("RectangleLabels", {"box": [10, 10, 20, True]}, "True is no number"),
    (
        "RectangleLabels",
        {"box": [10, 10, 20, 20], "rotation": 30},
        'a box with a rotation has the size of its image in pixels, such as "size":[640,480]',
    ),
    ("RectangleLabels", {"box": [95, 95, 50, 50], "rotation": 1, "size": [9, 9]}, "the centre of one is at"),
    (
        "RectangleLabels",
        {"box": [10, 10, 20, 20], "score": 0.5},
        "a box has no 'score'; the confidences of the regions are sent as evidence.boxes",
    ),
    ("RectangleLabels", {"box": [10, 10, 20, 20], "page": -1}, "`page` counts the images of a list from 0; it is -1"),
    ("RectangleLabels", {"box": [10, 10, 20, 20], "label": "cow"}, "no such label 'cow'; there are: car, sign"),
    ("RectangleLabels", {"box": [10, 10, 20, 20], "label": None}, "each region has a label"),
    (
        "RectangleLabels",
        {"polygon": [[0, 0], [9, 0], [9, 9]]},
        "RectangleLabels 'label' draws a box, and not a polygon",
    ),
    ("RectangleLabels", {}, "a region has one of box, polygon"),
    ("PolygonLabels", {"polygon": [[0, 0], [9, 9]]}, "a polygon has at least three different corners; one has 2"),
    (
        "PolygonLabels",
        {"polygon": [[0, 0], [9, 9], [0, 0]]},
        "a polygon has at least three different corners; one has 2",
    ),
    ("PolygonLabels", {"polygon": [[0, 0], [5, 5], [9, 9]]}, "a polygon has an area; the corners of one lie on a line"),
    ("PolygonLabels", {"polygon": [[0, 0], [5, 50], [101, 9]]}, "a point lies within the image"),
    (
        "PolygonLabels",
        {"polygon": "wide"},
        "a polygon is a list of corners [x, y] in percent of the image; one is wide",
    ),
    ("EllipseLabels", {"ellipse": [110, 50, 10, 10]}, "the centre of an ellipse lies within the image"),
    ("EllipseLabels", {"ellipse": [10, 50, 10, 0]}, "an ellipse has radii of more than 0"),
    ("KeyPointLabels", {"point": [10, 101]}, "a point lies within the image"),
    ("VectorLabels", {"line": [[1, 1], [2, 2]]}, "a line has the size of its image in pixels"),
    ("VectorLabels", {"line": [[1, 1]], "size": [4, 3]}, "a line has at least two points; one has 1"),
    (
        "BrushLabels",
        {"mask": [4, 2, [1, 2]]},
        "a mask of 4 x 2 has 8 pixels; its runs have 3: it is one of an image of another size",
    ),
    ("BrushLabels", {"mask": [4, 2, [8]]}, "a mask has at least one pixel of its region; one of 4 x 2 has none"),
    ("BrushLabels", {"mask": [4, 2, [1, -1, 8]]}, "the runs of a mask are numbers of pixels"),
    ("BrushLabels", {"mask": [4, 2]}, "a mask is [width, height, [runs]] in pixels"),
]


@pytest.mark.parametrize(("tag", "region", "words"), BAD)
def test_a_region_that_cannot_be_is_refused_with_the_reason(tag: str, region: Any, words: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*") as caught:
        kinds.canonical(form(tag).answer, [{"label": "car", **region}])
    assert words in str(caught.value)


def entry(type_: str, extra: dict[str, Any] | None = None, **value: Any) -> dict[str, Any]:
    labels = {type_: ["car"]}
    return {
        "id": "a",
        "from_name": "label",
        "to_name": "image",
        "type": type_,
        "value": labels | value,
        **(extra or {}),
    }


RLE_OF_8 = results.regions_of(form("BrushLabels").answer, '[{"label":"car","mask":[4,2,[1,2,5]]}]')[0]["value"]["rle"]
UNREADABLE = [
    ("RectangleLabels", entry("rectanglelabels", x=90, y=0, width=50, height=5), "a box lies within the image"),
    ("RectangleLabels", entry("rectanglelabels", x=90, y=0, width=5), "a box is [x, y, width, height]"),
    ("RectangleLabels", entry("rectanglelabels", x=9, y=0, width=0, height=5), "a width and a height of more than 0"),
    ("RectangleLabels", entry("rectanglelabels", x=9, y=None, width=1, height=5), "None is no number"),
    ("RectangleLabels", entry("rectanglelabels", x=9, y=9, width=9, height=9, rotation=3), "has the size of its image"),
    (
        "RectangleLabels",
        entry("rectanglelabels", rectanglelabels=["cow"], x=9, y=9, width=9, height=9),
        "'cow' was given, but",
    ),
    (
        "RectangleLabels",
        entry("rectanglelabels", rectanglelabels=[], x=9, y=9, width=9, height=9),
        "each region has a label",
    ),
    ("PolygonLabels", entry("polygonlabels", points=[[1, 1], [2, 2]]), "at least three different corners"),
    ("PolygonLabels", entry("polygonlabels", points=None), "a polygon is a list of corners"),
    ("BrushLabels", entry("brushlabels", rle=RLE_OF_8), "a mask needs original_width and original_height"),
    ("BrushLabels", entry("brushlabels", {"original_width": 4, "original_height": 4}, rle=RLE_OF_8), "of another size"),
    ("BrushLabels", entry("brushlabels", {"original_width": 4, "original_height": 2}, rle="x"), "this one is damaged"),
    ("BitmaskLabels", entry("bitmasklabels", imageDataURL="x"), "a bitmask is a PNG picture"),
    ("VectorLabels", entry("vectorlabels", vertices=[1]), "the vertices of a line are a list of objects"),
]


@pytest.mark.parametrize(("tag", "region", "words"), UNREADABLE)
def test_an_annotation_with_such_a_region_is_no_answer_and_has_its_reason(tag: str, region: Any, words: str) -> None:
    config = form(tag)
    reading = results.read(config, [region], None)
    assert reading.label is None
    why = why_unreadable(config, [region], reading)
    assert why is not None
    assert words in why.reason


def test_a_brush_that_was_erased_to_the_last_pixel_is_no_region() -> None:
    config = form("BrushLabels")
    empty = entry("brushlabels", {"original_width": 4, "original_height": 2})
    empty["value"]["rle"] = brush.encode(masks.of_changes(4, 2, np.array([], dtype=int)))
    assert results.read(config, [empty], None).label == "[]"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-200, 200) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
PARTS = st.sampled_from(
    [
        "x",
        "y",
        "width",
        "height",
        "radiusX",
        "radiusY",
        "rotation",
        "points",
        "closed",
        "vertices",
        "rle",
        "imageDataURL",
        "labels",
        "rectanglelabels",
        "text",
        "choices",
    ]
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"from_name": st.sampled_from(["label", "bbox", "brush", "transcription", "quality"]), "type": json_values},
            optional={
                "id": json_values,
                "to_name": json_values,
                "original_width": json_values,
                "original_height": json_values,
                "item_index": json_values,
                "value": st.dictionaries(PARTS, json_values, max_size=6),
            },
        ),
        max_size=3,
    )
)
def test_no_annotation_ends_in_anything_but_an_answer_or_none(result: list[dict[str, Any]]) -> None:
    for config in (SPLIT_FORM, form("RectangleLabels"), form("VectorLabels"), form("BrushLabels")):
        reading = results.read(config, result, None)
        if reading.label is None:
            assert why_unreadable(config, result, reading) is not None
        else:
            assert kinds.canonical(config.answer, reading.label) == reading.label
