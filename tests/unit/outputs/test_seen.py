"""An item that people could not see, or a region where they could not reach it, is refused at the door by its path."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.outputs import fitting, reading
from labelloop.outputs.output import Output
from tests.support.data.regions import PAGES, form

CARS, BOOK = form("RectangleLabels"), LabelingConfig.parse(PAGES)
RANKS = LabelingConfig.parse('<View><List name="list" value="$answers"/><Ranker name="label" toName="list"/></View>')
BOX = {"box": [10, 10, 20, 20], "label": "car"}
ONE, TWO = {"image": "/a.png"}, {"pages": ["/a.png", "/b.png"]}
FORM_OF = {
    tag: LabelingConfig.parse(
        f'<View><{tag} name="o" value="$x"/><Choices name="label" toName="o"><Choice value="a"/><Choice value="b"/>'
        "</Choices></View>"
    )
    for tag in ("Image", "Audio", "Video", "Pdf", "Text")
}


def read(config: LabelingConfig, data: Any, **said: Any) -> Output:
    body = {"key": "k", "data": data, **said}
    return fitting.check(reading.parse(json.dumps(body).encode()), config, config.labels)


def refused(config: LabelingConfig, data: Any, **said: Any) -> InvalidOutput:
    with pytest.raises(InvalidOutput) as caught:
        read(config, data, **said)
    return caught.value


def entry(page: Any, to_name: str = "image") -> dict[str, Any]:
    value = {"x": 1, "y": 1, "width": 9, "height": 9, "rectanglelabels": ["car"]}
    about = {"from_name": "label", "to_name": to_name, "type": "rectanglelabels"}
    return {"id": "a", **about, "value": value, "item_index": page}


@pytest.mark.parametrize("page", [1, 3])
def test_one_image_has_one_page(page: int) -> None:
    why = "it is %d, and data.image is one image, whose page is 0"
    exc = refused(CARS, ONE, label=[{**BOX, "page": page}])
    assert exc.path == "label"
    assert why % page in str(exc)
    exc = refused(CARS, ONE, result=[entry(page)])
    assert exc.path == "result[0].item_index"
    assert why % page in str(exc)


def test_a_list_of_images_has_its_pages() -> None:
    assert "has 2 images" in str(refused(BOOK, TWO, label=[{**BOX, "page": 2}]))
    assert refused(BOOK, TWO, result=[entry(2, "pdf")]).path == "result[0].item_index"
    read(BOOK, TWO, label=[{**BOX, "page": 1}])
    read(BOOK, TWO, result=[entry(1, "pdf")])
    read(CARS, ONE, result=[entry(0)])


def test_a_region_names_an_image_of_the_form() -> None:
    exc = refused(CARS, ONE, label=[{**BOX, "image": "foto"}])
    assert exc.path == "label"
    assert "RectangleLabels 'label' is for image, and not 'foto'" in str(exc)
    read(CARS, ONE, label=[{**BOX, "image": "image"}])


@pytest.mark.parametrize("tag", ["Image", "Audio", "Video", "Pdf"])
@pytest.mark.parametrize(("given", "says"), [("", "is empty"), ("  ", "is empty"), ([], "is empty"), (5, "it is 5")])
def test_an_address_is_a_text_that_is_not_empty(tag: str, given: Any, says: str) -> None:
    exc = refused(FORM_OF[tag], {"x": given}, label="a")
    assert exc.path == "data.x"
    assert says in str(exc)
    read(FORM_OF[tag], {"x": "/a"}, label="a")


def test_each_image_of_a_list_has_an_address() -> None:
    assert refused(BOOK, {"pages": ["/a.png", ""]}, label=[]).path == "data.pages[1]"


def test_a_text_may_be_empty() -> None:
    read(FORM_OF["Text"], {"x": ""}, label="a")


@pytest.mark.parametrize(
    ("answers", "path", "says"),
    [
        ([{"title": "x"}], "data.answers[0].id", "is missing"),
        ([{"id": "a"}, {"id": None}], "data.answers[1].id", "is missing"),
        ([{"id": "1"}, {"id": 1}], "data.answers[1].id", "'1' is the id of an earlier item"),
        ([{"id": True}], "data.answers[0].id", "must be a text or a number"),
        (["a"], "data.answers[0]", "must be an object"),
        ("a", "data.answers", "must be a list"),
    ],
)
def test_each_item_of_a_list_has_an_id_of_its_own(answers: Any, path: str, says: str) -> None:
    exc = refused(RANKS, {"answers": answers}, label=["a"])
    assert exc.path == path
    assert says in str(exc)
    read(RANKS, {"answers": [{"id": "a"}, {"id": 2}]}, label=["a", "2"])


SIGNS = LabelingConfig.parse(
    """<View><Image name="image" value="$image"/><RectangleLabels name="boxes" toName="image"><Label value="car"/>
<Label value="sign"/></RectangleLabels><Choices name="topic" toName="image"><Choice value="a"/><Choice value="b"/>
</Choices></View>""",
    ("boxes", "topic"),
)
CHECKED = LabelingConfig.parse(
    """<View><Image name="image" value="$image"/><RectangleLabels name="boxes" toName="image"><Label value="car"/>
</RectangleLabels><Choices name="label" toName="image"><Choice value="right"/><Choice value="wrong"/></Choices>
</View>"""
)


@pytest.mark.parametrize("boxes", [[], [0.5]])
def test_there_is_a_confidence_for_each_region_or_none_at_all(boxes: list[float]) -> None:
    read(CARS, ONE, label=[BOX], evidence={"boxes": boxes})
    read(CARS, ONE, label=json.dumps([BOX]), evidence={"boxes": boxes})
    read(CARS, ONE, label=[BOX, {**BOX, "label": "sign"}], evidence={"boxes": boxes})
    read(CHECKED, ONE, label="right", evidence={"boxes": [0.5, 0.5]})
    read(SIGNS, ONE, label={"boxes": [BOX]}, evidence={"controls": {"boxes": {"boxes": boxes}, "topic": 0.5}})


def test_confidences_of_other_regions_than_the_labels_are_refused() -> None:
    three = {"boxes": [0.5, 0.5, 0.5]}
    exc = refused(CARS, ONE, label=[BOX], evidence=three)
    assert str(exc) == "evidence.boxes: has 3 confidences, and the label 1 region; give one for each"
    assert refused(SIGNS, ONE, label={"boxes": [BOX]}, evidence={"controls": {"boxes": three}}).path == (
        "evidence.controls.boxes.boxes"
    )
    exc = refused(SIGNS, ONE, label={"topic": "a"}, evidence={"controls": {"topic": {"boxes": [0.5]}}})
    assert str(exc) == ("evidence.controls.topic.boxes: are confidences of regions; Choices 'topic' asks for one label")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (
            {"label": "car"},
            """label: must be a list of objects, such as [{"box":[10,20,30,40],"label":"car"}]; it is""",
        ),
        ({"label": "[{]"}, "label: is not JSON: Expecting property name"),
    ],
)
def test_a_text_for_an_answer_in_json_is_named_once_with_what_would_do(said: Any, says: str) -> None:
    exc = refused(CARS, ONE, **said)
    assert str(exc).startswith(says)
    assert str(exc).count("JSON") == says.count("JSON")


def test_a_value_that_is_null_is_refused_with_what_would_do() -> None:
    assert str(refused(CARS, {"image": None}, label=[])).endswith("Give an address, or do not send this output")
    assert 'Give a value ("" for no text)' in str(refused(FORM_OF["Text"], {"x": None}, label="a"))
