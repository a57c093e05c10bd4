"""Regions of images as answers and as Label Studio's results: what the editor wrote, what the SDK accepts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface.interface import LabelInterface
from label_studio_sdk.label_interface.objects import PredictionValue

from labelloop.answers.unreadable import why_unreadable
from labelloop.labeling import kinds, results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.geometry import brush, masks
from labelloop.reading import strict_json
from tests.support.data.regions import (
    PAGES,
    SHAPES,
    SPLIT,
    TAG_OF,
    editor_results,
    form,
    labelled,
    large_brush,
)

SPLIT_FORM, PAGES_FORM = LabelingConfig.parse(SPLIT, ("label",)), LabelingConfig.parse(PAGES)


def oracle(config: LabelingConfig, result: list[dict[str, Any]]) -> list[str]:
    """Errors that the SDK finds in a prediction."""
    interface: Any = LabelInterface(config.xml)
    found: list[str] = interface.validate_prediction({"result": result, "score": 0.5}, return_errors=True)
    return found


@pytest.mark.parametrize("shape", sorted(SHAPES))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_an_answer_has_one_text_and_comes_back_from_a_result_that_the_sdk_accepts(
    shape: str, data: st.DataObject
) -> None:
    regions = data.draw(labelled(shape))
    tag = data.draw(st.sampled_from(["Brush", "Bitmask"])) if shape == "mask" else TAG_OF[shape]
    control = form(f"{tag}Labels").answer
    answer = kinds.canonical(control, regions)
    assert kinds.canonical(control, answer) == answer == kinds.canonical(control, regions[::-1])
    assert kinds.nearest_answer(control, answer) == answer
    result = results.regions_of(control, answer)
    assert results.decoded(control, result[::-1]) == answer
    assert len({region["id"] for region in result}) == len(result)
    assert oracle(form(f"{tag}Labels"), result) == []
    without = [{name: part for name, part in region.items() if name != "label"} for region in regions]
    bare = form(tag)
    plain = kinds.canonical(bare.answer, without)
    assert results.decoded(bare.answer, results.regions_of(bare.answer, plain)) == plain
    assert oracle(bare, results.regions_of(bare.answer, plain)) == []


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_labels_beside_shapes_come_back_with_the_answers_about_each_region(data: st.DataObject) -> None:
    regions = []
    for shape in data.draw(st.lists(st.sampled_from(sorted(SHAPES)), max_size=4)):
        region = dict(data.draw(SHAPES[shape]))
        if data.draw(st.booleans()):
            region["with"] = {"transcription": "two\nlines", "quality": data.draw(st.sampled_from(["good", "bad"]))}
        labels = data.draw(st.sets(st.sampled_from(["car", "sign"])))
        regions += [{**region, "label": label} for label in sorted(labels)] or [region]
    answer = kinds.canonical(SPLIT_FORM.answer, regions)
    result = results.regions_of(SPLIT_FORM.answer, answer)
    assert results.decoded(SPLIT_FORM.answer, result) == answer
    assert oracle(SPLIT_FORM, result) == []
    shapes = {region["id"] for region in result}
    bare = {
        strict_json.dumps({k: v for k, v in one.items() if k != "label"}) for one in strict_json.loads(answer.encode())
    }
    assert len(shapes) == len(bare)  # a region with two labels is drawn once


EDITOR = {
    "rectangle": '[{"box":[36.487,14.7618,37.9553,37.9788],"label":"car","rotation":47.6978,"size":[800,500]}]',
    "polygon": '[{"label":"sign","polygon":[[21.5041,21.4219],[26.2045,59.5887],[50.0588,68.9894],[59.4595,26.3102]]}]',
    "ellipse": '[{"ellipse":[50.0588,50.0,14.2186,18.9894],"label":"car"}]',
    "keypoint": '[{"label":"car","point":[33.8425,44.3596]}]',
    "vector": '[{"label":"car","line":[[21.5041,21.4219],[21.5041,21.4219],[50.0588,31.0106],[68.9777,68.9894]],'
    '"size":[800,500]}]',
}
TAGS = {
    "rectangle": "RectangleLabels",
    "polygon": "PolygonLabels",
    "ellipse": "EllipseLabels",
    "keypoint": "KeyPointLabels",
    "vector": "VectorLabels",
    "brush": "BrushLabels",
    "bitmask": "BitmaskLabels",
}


@pytest.mark.parametrize("drawn", sorted(TAGS))
def test_what_the_editor_wrote_is_read(drawn: str) -> None:
    config = form(TAGS[drawn])
    found = results.read(config, editor_results()[drawn], None).label
    assert found is not None
    if drawn in EDITOR:
        assert found == EDITOR[drawn]
    else:
        [region] = strict_json.loads(found.encode())
        assert region["label"] == "car"
        assert region["mask"][:2] == [800, 500]
    assert results.decoded(config.answer, results.regions_of(config.answer, found)) == found
    # kept without a change, the editor's own result approves the same answer
    assert results.read(config, editor_results()[drawn], found).approval is True


def test_what_the_editor_wrote_about_labels_beside_shapes_is_read() -> None:
    found = results.read(SPLIT_FORM, editor_results()["labels"], None).label
    about = '"with":{"quality":"bad","transcription":"hello"}'
    box = '"box":[21.5041,21.4219,28.5546,28.5781]'
    assert found == (
        f'[{{{box},"label":"car",{about}}},{{{box},"label":"sign",{about}}},'
        '{"box":[59.4595,59.5887,19.0364,18.9894],"label":"sign"}]'
    )


def test_what_the_editor_wrote_about_pages_is_read() -> None:
    found = results.read(PAGES_FORM, editor_results()["pages"], None).label
    assert (
        found == '[{"box":[10.0,10.0,20.0,20.0],"label":"car"},{"box":[10.0,10.0,20.0,20.0],"label":"sign","page":1}]'
    )
    with pytest.raises(ValueError, match="a region is on page 1, counted from 0; pages has 1"):
        kinds.of(PAGES_FORM.answer).fits(PAGES_FORM.answer, found, {"pages": ["a.png"]})
    kinds.of(PAGES_FORM.answer).fits(PAGES_FORM.answer, found, {"pages": ["a.png", "b.png"]})


def test_a_large_mask_is_read_compared_and_encoded() -> None:
    config = form("BrushLabels")
    found = results.read(config, [large_brush()], None).label
    assert found is not None
    assert 10_000 < len(found) < 1 << 20
    assert kinds.canonical(config.answer, found) == found
    assert kinds.of(config.answer).agreed(config.answer, [found, found, "[]"], None)[0] == found
    assert results.decoded(config.answer, results.regions_of(config.answer, found)) == found


def test_a_mask_beyond_the_limits_of_an_output_is_still_an_answer() -> None:
    control = form("BrushLabels").answer
    stripes = [{"mask": [1000, 400, [1] * 400_000], "label": "car"}]
    answer = kinds.canonical(control, stripes)
    assert kinds.canonical(control, answer) == answer


SDK_VALUES: dict[str, dict[str, Any]] = {
    "RectangleLabels": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0},
    "PolygonLabels": {"points": [(10, 10), (50, 10), (30, 40)]},
    "EllipseLabels": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0},
    "KeyPointLabels": {"x": 5, "y": 6},
}


@pytest.mark.parametrize("tag", sorted(SDK_VALUES))
def test_regions_that_the_sdk_makes_are_read(tag: str) -> None:
    config = form(tag)
    interface: Any = LabelInterface(config.xml)
    region = interface.get_control("label").label(label=["sign"], **SDK_VALUES[tag])
    result = PredictionValue(result=[region]).model_dump()["result"]
    found = results.decoded(config.answer, result)
    assert found is not None
    assert '"label":"sign"' in found
    assert results.decoded(config.answer, results.regions_of(config.answer, found)) == found


@pytest.mark.parametrize(
    ("tag", "one", "other"),
    [
        ("PolygonLabels", {"polygon": [[0, 0], [9, 0], [9, 9]]}, {"polygon": [[9, 9], [9, 0], [0, 0]]}),
        ("PolygonLabels", {"polygon": [[0, 0], [9, 0], [9, 9]]}, {"polygon": [[9, 0], [9, 9], [0, 0], [0, 0], [9, 0]]}),
        ("RectangleLabels", {"box": [0, 0, 9, 9]}, {"box": [-0.0, 0.00004, 9, 8.99997], "rotation": 360}),
        ("RectangleLabels", {"box": [91, 0, 9, 9]}, {"box": [91.004, -0.004, 9.0, 9.004], "rotation": 0, "size": None}),
        (
            "RectangleLabels",
            {"box": [30, 30, 9, 9], "rotation": 350, "size": [4, 3]},
            {"box": [30, 30, 9, 9], "rotation": -10, "size": (4, 3), "page": 0},
        ),
        (
            "RectangleLabels",
            {"box": [30, 30, 9, 9], "rotation": 20, "size": [4, 3]},
            {"box": [30.0, 30, 9, 9], "rotation": 20.0, "size": [4, 3], "image": ""},
        ),
        (
            "EllipseLabels",
            {"ellipse": [30, 30, 9, 8], "rotation": 170, "size": [4, 3]},
            {"ellipse": [30, 30, 9, 8], "rotation": -10, "size": [4, 3]},
        ),
        ("BrushLabels", {"mask": [4, 2, [1, 2, 5]]}, {"mask": [4, 2, [1, 1, 0, 1, 5, 0]]}),
        (
            "VectorLabels",
            {"line": [[1, 1], [2, 2]], "size": [4, 3]},
            {"line": [[1, 1], [2, 2]], "from": [None, 0], "closed": False, "size": [4, 3]},
        ),
    ],
)
def test_equal_regions_have_one_text(tag: str, one: Any, other: Any) -> None:
    control = form(tag).answer
    texts = [kinds.canonical(control, [{**region, "label": "car"}]) for region in (one, other)]
    if texts[0] != texts[1]:  # moved to the edge: the same within a hundredth of a percent
        assert kinds.of(control).measures(control, *texts)["mean_iou"] > 0.998
        assert "-" not in texts[1]
    else:
        assert kinds.canonical(control, [{**one, "label": "car"}, {**other, "label": "car"}]) == texts[0]


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
    ("RectangleLabels", {"box": [10, 10, 20, "20"]}, "20 is no number"),
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


def test_a_region_about_the_second_of_two_images_says_so() -> None:
    config = LabelingConfig.parse(
        '<View><Image name="a" value="$a"/><Image name="b" value="$b"/><RectangleLabels name="label" toName="a,b">'
        '<Label value="car"/></RectangleLabels></View>'
    )
    answer = '[{"box":[1.0,2.0,3.0,4.0],"image":"b","label":"car"},{"box":[1.0,2.0,3.0,4.0],"label":"car"}]'
    result = results.regions_of(config.answer, answer)
    assert [region["to_name"] for region in result] == ["b", "a"]
    assert results.decoded(config.answer, result) == answer
    assert oracle(config, result) == []


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
