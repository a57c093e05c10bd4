"""Regions of images as answers and as Label Studio's results: what the editor wrote, what the SDK accepts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface.interface import LabelInterface
from label_studio_sdk.label_interface.objects import PredictionValue

from labelloop.labeling import kinds, results
from labelloop.labeling.config import LabelingConfig
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
    drawn = {strict_json.dumps({**one, "label": "label" in one}) for one in strict_json.loads(answer.encode())}
    assert len({region["id"] for region in result}) == len(drawn)  # a region with two labels is drawn once


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
    with pytest.raises(ValueError, match=r"it is 1, and data\.pages has 1 image$"):
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
