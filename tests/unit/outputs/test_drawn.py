"""Regions of images in a result, at intake: refused where Label Studio refuses them or nobody could see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface.interface import LabelInterface

from labelloop.errors import InvalidOutput
from labelloop.labeling import kinds, results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.geometry import shapes
from labelloop.outputs import fitting, reading
from tests.support.data.regions import PAGES, SHAPES, TAG_OF, editor_results, form, labelled, large_brush

TAGS = ("RectangleLabels", "PolygonLabels", "EllipseLabels", "KeyPointLabels", "VectorLabels", "BrushLabels", "Ellipse")
FORMS = {tag: form(tag) for tag in TAGS}
ORACLES: dict[str, Any] = {tag: LabelInterface(config.xml) for tag, config in FORMS.items()}


def read(config: LabelingConfig, **said: Any) -> Any:
    body = {
        "key": "k",
        "data": {"image": "https://pictures.example.org/a.png"},
        **({"score": 0.5} if "result" in said else {"confidence": 0.5}),
        **said,
    }
    return fitting.check(reading.parse(json.dumps(body).encode()), config, ())


def region(tag: str, extra: dict[str, Any] | None = None, **value: Any) -> dict[str, Any]:
    type_ = tag.lower()
    labels = {type_: ["car"]} if type_.endswith("labels") else {}
    entry = {"id": "1", "from_name": "label", "to_name": "image", "type": type_, "value": labels | value}
    return entry | (extra or {})


BOX: dict[str, Any] = {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0}
SIZE = {"original_width": 4, "original_height": 2}
RLE = results.regions_of(form("BrushLabels").answer, '[{"label":"car","mask":[4,2,[1,2,5]]}]')[0]["value"]["rle"]
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("RectangleLabels", region("RectangleLabels", **{**BOX, "x": 90}), "value", "a box lies within the image"),
    (
        "RectangleLabels",
        region("RectangleLabels", **{**BOX, "width": 0}),
        "value",
        "a width and a height of more than 0",
    ),
    (
        "RectangleLabels",
        region("RectangleLabels", **{**BOX, "x": 101}),
        "value.x",
        "must be at most 100; it is 101. It is in percent of the image: 100 * pixels / width",
    ),
    ("RectangleLabels", region("RectangleLabels", **{**BOX, "y": "10"}), "value.y", "must be a number"),
    ("RectangleLabels", region("RectangleLabels", x=1, y=1, width=1), "value.height", "is missing"),
    (
        "RectangleLabels",
        region("RectangleLabels", **{**BOX, "rotation": 30}),
        "original_width",
        "is missing; a region with a rotation needs the size of the image in pixels",
    ),
    (
        "RectangleLabels",
        region("RectangleLabels", **BOX, rectanglelabels=["cow"]),
        "value.rectanglelabels[0]",
        "no such",
    ),
    ("RectangleLabels", region("RectangleLabels", **BOX, rectanglelabels=None), "value.rectanglelabels", "is missing"),
    ("PolygonLabels", region("PolygonLabels", points=[[1, 1], [2, 2]]), "value", "at least three different corners"),
    ("PolygonLabels", region("PolygonLabels", points=[[1, 1], [2, 2], [3, 3]]), "value", "a polygon has an area"),
    ("PolygonLabels", region("PolygonLabels", points=[[1, 1], [2, 2], [3, 300]]), "value", "lies within the image"),
    ("PolygonLabels", region("PolygonLabels"), "value.points", "is missing"),
    ("EllipseLabels", region("EllipseLabels", x=1, y=1, radiusX=60, radiusY=1), "value.radiusX", "must be at most 50"),
    ("EllipseLabels", region("EllipseLabels", x=1, y=-2, radiusX=9, radiusY=1), "value", "the centre of an ellipse"),
    ("Ellipse", region("Ellipse", x=1, y=1, radiusX=1), "value.radiusY", "is missing"),
    ("KeyPointLabels", region("KeyPointLabels", x=1), "value.y", "is missing"),
    ("BrushLabels", region("BrushLabels", rle=RLE), "value", "a mask needs original_width and original_height"),
    ("BrushLabels", region("BrushLabels", {**SIZE, "original_width": 5}, rle=RLE), "value", "of another size"),
    ("BrushLabels", region("BrushLabels", SIZE, rle=[*RLE[:9], 300]), "value.rle[9]", "whole number from 0 to 255"),
    ("BrushLabels", region("BrushLabels", SIZE, rle=RLE[:9]), "value", "ends before its last pixel"),
    ("BrushLabels", region("BrushLabels", SIZE, rle=RLE, format="coco"), "value.format", "must be rle; it is coco"),
    (
        "VectorLabels",
        region("VectorLabels", vertices=[{"x": 1, "y": 1}, {"x": 2, "y": 2}]),
        "original_width",
        "is missing; Label Studio's editor needs the size of the image in pixels",
    ),
    ("VectorLabels", region("VectorLabels", SIZE, vertices=[{"x": 1, "y": 1}]), "value", "at least two points"),
    ("VectorLabels", region("VectorLabels", SIZE, vertices=[{"id": 1}]), "value.vertices[0].id", "must be a text"),
]


@pytest.mark.parametrize(("tag", "entry", "path", "words"), REFUSED)
def test_a_region_that_nobody_could_see_is_refused_by_its_field(
    tag: str, entry: dict[str, Any], path: str, words: str
) -> None:
    with pytest.raises(InvalidOutput) as caught:
        read(FORMS[tag], result=[entry])
    assert caught.value.path == f"result[0].{path}"
    assert words in str(caught.value)


@pytest.mark.parametrize("shape", sorted(SHAPES))
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_our_own_results_are_taken(shape: str, data: st.DataObject) -> None:
    config = form(f"{TAG_OF[shape]}Labels")
    regions = [one for one in data.draw(labelled(shape)) if shape != "ellipse" or max(one["ellipse"][2:]) <= 50]
    regions = [{name: part for name, part in one.items() if name not in shapes.WHERE} for one in regions]
    result = results.regions_of(config.answer, kinds.canonical(config.answer, regions))
    assume(result)
    assert read(config, result=result).result == result


@pytest.mark.parametrize("drawn", ["rectangle", "polygon", "ellipse", "keypoint", "vector", "brush", "bitmask"])
def test_what_the_editor_wrote_is_taken_as_a_pipelines_result(drawn: str) -> None:
    tag = {"keypoint": "KeyPointLabels"}.get(drawn, f"{drawn.title()}Labels")
    read(form(tag), result=editor_results()[drawn])


def test_a_large_mask_fits_into_an_output() -> None:
    config = form("BrushLabels")
    taken = read(config, result=[large_brush()])
    label = results.decoded(config.answer, taken.result)
    assert label is not None
    assert read(config, label=json.loads(label)).label == label == read(config, label=label).label


numbers = st.integers(-20, 130) | st.floats(-20, 130) | st.sampled_from([0, 10, 50, "10", None, True])
vertex = st.dictionaries(st.sampled_from(["x", "y", "id", "prevPointId", "isBezier"]), numbers | st.booleans())
VALUES = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("x", "y", "width", "height", "radiusX", "radiusY", "rotation", "closed"), numbers),
        "points": st.lists(st.lists(numbers, min_size=1, max_size=3), max_size=4) | numbers,
        "vertices": st.lists(vertex | numbers, max_size=3) | numbers,
        "rle": st.sampled_from([RLE, [*RLE[:-1], 300], [], "x", None, [True]]),
        "format": st.sampled_from(["rle", "png", None, 1]),
    },
)
WHOLE: dict[str, Any] = {
    "RectangleLabels": BOX,
    "PolygonLabels": {"points": [[1, 1], [9, 1], [9, 9]]},
    "EllipseLabels": {"x": 50, "y": 50, "radiusX": 5, "radiusY": 6},
    "Ellipse": {"x": 50, "y": 50, "radiusX": 5, "radiusY": 6},
    "KeyPointLabels": {"x": 50, "y": 50},
    "VectorLabels": {"vertices": [{"x": 1, "y": 1}, {"x": 2, "y": 2}]},
    "BrushLabels": {"rle": RLE, "format": "rle"},
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TAGS), VALUES, st.sampled_from([["car"], ["sign", "car"], [], ["cow"], "car", None]))
def test_label_studio_takes_every_region_that_we_take(tag: str, value: dict[str, Any], labels: Any) -> None:
    entry = region(tag, SIZE, **{**WHOLE[tag], **value})
    if tag != "Ellipse":
        entry["value"][tag.lower()] = labels
    try:
        read(FORMS[tag], result=[entry])
    except InvalidOutput as exc:
        assert exc.path.startswith("result[0]")  # noqa: PT017 -- most of these are refused, and that is no failure
        return
    assert ORACLES[tag].validate_prediction({"result": [entry]}, return_errors=True) == []


def test_an_answer_is_refused_with_its_path_and_its_reason() -> None:
    with pytest.raises(InvalidOutput, match="label: a box lies within the image"):
        read(FORMS["RectangleLabels"], label=[{"box": [90, 0, 20, 5], "label": "car"}])
    with pytest.raises(InvalidOutput, match="gold: a polygon has at least three different corners; one has 2"):
        read(FORMS["PolygonLabels"], gold=[{"polygon": [[0, 0], [1, 1]], "label": "car"}], label=[])
    pages = LabelingConfig.parse(PAGES)
    box = {"box": [0, 0, 9, 9], "label": "car", "page": 2}
    with pytest.raises(InvalidOutput, match=r"label: `page` .* it is 2, and data\.pages has 2 images"):
        read(pages, data={"pages": ["https://a.example.org/1.png", "https://a.example.org/2.png"]}, label=[box])
