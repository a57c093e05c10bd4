"""Structured answers as Label Studio's results: held to the SDK's own checks, and to what its editor writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.label_interface.interface import LabelInterface

from labelloop.labeling import results
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.kinds import canonical
from labelloop.labeling.results import Reading

TAGS = {
    "labels": '<Choices name="label" toName="t" choice="multiple"><Choice value="a"/><Choice value="B" alias="b"/>'
    '<Choice value="c"/></Choices>',
    "spans": '<Labels name="label" toName="t"><Label value="a"/><Label value="B" alias="b"/></Labels>',
    "taxonomy": '<Taxonomy name="label" toName="t"><Choice value="x"><Choice value="y"/></Choice><Choice value="z"/>'
    "</Taxonomy>",
    "number": '<Number name="label" toName="t" min="-10" max="1000"/>',
    "rating": '<Rating name="label" toName="t" maxRating="7"/>',
}
VERDICT = '<Choices name="verdict" toName="t"><Choice value="approve"/><Choice value="reject"/></Choices>'
ANSWERS = {
    "labels": st.sets(st.sampled_from("abc")).map(list),
    "spans": st.lists(
        st.tuples(st.integers(0, 99), st.integers(100, 199), st.sampled_from("ab")).map(list), max_size=5
    ),
    "taxonomy": st.sets(st.sampled_from(["x", "x / y", "z"])).map(list),
    "number": st.floats(-10, 1000) | st.integers(-10, 1000),
    "rating": st.integers(1, 7),
}


def config(tag: str, verdict: bool = False) -> LabelingConfig:
    return LabelingConfig.parse(f'<View><Text name="t" value="$text"/>{VERDICT if verdict else ""}{TAGS[tag]}</View>')


def oracle(config: LabelingConfig, result: list[dict[str, Any]]) -> list[str]:
    """Errors that the SDK finds in it."""
    interface: Any = LabelInterface(config.xml)
    found: list[str] = interface.validate_prediction({"result": result, "score": 0.5}, return_errors=True)
    return found


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(sorted(TAGS)), st.booleans())
def test_an_encoded_result_is_read_back_and_fits_the_sdks_rules(data: st.DataObject, tag: str, verdict: bool) -> None:
    form = config(tag, verdict)
    answer, model = (canonical(form.answer, data.draw(ANSWERS[tag])) for _ in range(2))
    result = results.encode(form, answer, model)
    same = answer == model
    assert results.read(form, result, model) == Reading(answer, same, None if same else answer)
    assert oracle(form, result) == []
    assert len({region["id"] for region in result}) == len(result)


def region(kind: str, **value: object) -> dict[str, object]:
    """As the editor saves it."""
    return {"id": "u1fHVE", "from_name": "label", "to_name": "t", "type": kind, "value": value, "origin": "manual"}


@pytest.mark.parametrize(
    ("tag", "regions", "answer"),
    [
        ("labels", [region("choices", choices=["b", "a"])], '["a","b"]'),
        ("labels", [], "[]"),
        ("labels", [region("choices", choices=["a"]), region("choices", choices=["c"])], '["c"]'),
        (
            "spans",
            [
                region("labels", start=9, end=12, text="Bob", labels=["a"]),
                region("labels", start=0, end=4, text="Anna", labels=["a", "b"]),
            ],
            '[[0,4,"a"],[0,4,"b"],[9,12,"a"]]',
        ),
        ("spans", [], "[]"),
        ("taxonomy", [region("taxonomy", taxonomy=[["x", "y"], ["z"]])], '["x / y","z"]'),
        ("number", [region("number", number=7)], "7"),
        ("number", [region("number", number=0.25)], "0.25"),
        ("number", [], None),
        ("rating", [region("rating", rating=4)], "4"),
        ("rating", [], None),
    ],
)
def test_what_the_editor_saves_is_read(tag: str, regions: list[dict[str, object]], answer: str | None) -> None:
    assert results.read(config(tag), regions, None) == Reading(answer)


@pytest.mark.parametrize(
    ("tag", "one"),
    [
        ("labels", region("choices", choices=["a", "cow"])),
        ("labels", region("choices", choices="a")),
        ("labels", region("choices", choices=[["a"]])),
        ("spans", region("labels", start=4, end=4, labels=["a"])),
        ("spans", region("labels", start="0", end="4", labels=["a"])),
        ("spans", region("labels", start=0, end=4, labels=["cow"])),
        ("spans", region("labels", start=0, end=4, labels=[])),
        ("taxonomy", region("taxonomy", taxonomy=[["y"]])),
        ("taxonomy", region("taxonomy", taxonomy=[[["x"]]])),
        ("number", region("number", number=1001)),
        ("number", region("number", number="7")),
        ("number", region("number", number=True)),
        ("rating", region("rating", rating=8)),
        ("rating", region("rating", rating=3.5)),
        ("rating", region("rating", rating=0)),
    ],
)
def test_what_the_control_cannot_give_is_no_answer(tag: str, one: dict[str, object]) -> None:
    assert results.read(config(tag), [one], None) == Reading()
    assert results.read(config(tag), [{**one, "value": None}], None) == Reading()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abx"), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["choices", "labels", "start", "end", "taxonomy", "number", "rating"])


@settings(deadline=None)
@given(st.sampled_from(sorted(TAGS)), st.lists(st.dictionaries(KEYS, JSON, max_size=3), max_size=3))
def test_any_json_is_read_without_an_error(tag: str, values: list[dict[str, object]]) -> None:
    form = config(tag)
    answer = results.read(form, [region("x", **value) for value in values], None).label
    assert answer is None or canonical(form.answer, answer) == answer


def test_a_required_control_left_empty_is_no_answer() -> None:
    for tag in ("labels", "spans", "taxonomy"):
        form = LabelingConfig.parse(config(tag).xml.replace('toName="t"', 'toName="t" required="true"'))
        assert results.read(form, [], "[]") == Reading()


def test_a_prelabel_is_what_the_form_can_say_of_it() -> None:
    assert results.encode(config("rating"), "3.7", None)[0]["value"] == {"rating": 4}
    assert results.encode(config("rating"), "9", None)[0]["value"] == {"rating": 7}
    assert results.encode(config("number"), "-12", None)[0]["value"] == {"number": -10}
    tenths = LabelingConfig.parse(config("number").xml.replace("min=", 'step="0.1" min='))
    assert results.encode(tenths, "0.333", None)[0]["value"] == {"number": 0.3}
    assert results.encode(tenths, "1e15", None)[0]["value"] == {"number": 1000}
    assert results.encode(config("labels"), '["a","left"]', None)[0]["value"] == {"choices": ["a"]}
    assert results.encode(config("labels"), "[]", None) == []
    assert results.encode(config("spans"), "a text", None) == results.encode(config("number"), "many", None) == []


def test_a_model_is_right_where_people_leave_what_the_form_showed_of_it() -> None:
    """A regression says 3.7, four stars are shown, and four stars are the answer."""
    shown = results.encode(config("rating"), "3.7", "3.7")
    assert results.read(config("rating"), shown, "3.7") == Reading("4", True)
    approve = results.encode(config("rating", verdict=True), "3.7", "3.7")
    assert results.read(config("rating", verdict=True), approve, "3.7") == Reading("4", True)


def test_the_answer_is_read_from_the_control_that_is_named_for_it() -> None:
    both = '<View><Text name="t" value="$text"/><Choices name="topic" toName="t"><Choice value="x"/></Choices>'
    assert LabelingConfig.parse(f"{both}{TAGS['spans']}</View>").answer.tag == "Labels"
    plain = TAGS["spans"].replace('name="label"', 'name="who"')
    assert LabelingConfig.parse(f"{both}{plain}</View>").answer.tag == "Choices"
    per_region = both.replace("<Choices", '<Choices perRegion="true"')
    assert LabelingConfig.parse(f"{per_region}{plain}</View>").answer.tag == "Labels"
    assert LabelingConfig.parse(f"{per_region}{plain}</View>").text_field == "text"


def nested(choice: str) -> LabelingConfig:
    return LabelingConfig.parse(
        f'<View><Text name="t" value="$text"/><Choices name="label" toName="t" {choice} allowNested="true">'
        '<Choice value="A"><View><Choice value="A one" alias="A1"/><Choice value="A2"/></View></Choice>'
        '<Choice value="B"><Choice value="A2"/></Choice></Choices></View>'
    )


SEVERAL, ONE = nested('choice="multiple"'), nested("")


@pytest.mark.parametrize(
    ("form", "chosen", "answer"),
    [
        (SEVERAL, [["A", "A1"], ["B"]], '["A / A1","B"]'),
        (SEVERAL, [["A"], ["A", "A1"], ["A", "A2"]], '["A","A / A1","A / A2"]'),
        (SEVERAL, ["A1"], '["A / A1"]'),
        (SEVERAL, ["A2"], None),
        (SEVERAL, [["A", "Z"]], None),
        (ONE, [["A", "A1"]], "A / A1"),
        (ONE, [["A"], ["A", "A1"], ["A", "A2"]], "A"),
        (ONE, [["A", "A1"], ["B"]], None),
        (ONE, [["A", ["A1"]]], None),
    ],
)
def test_nested_choices_are_read_by_their_paths(form: LabelingConfig, chosen: object, answer: str | None) -> None:
    assert form.labels == ("A", "A / A1", "A / A2", "B", "B / A2")
    assert results.read(form, [region("choices", choices=chosen)], None).label == answer


@pytest.mark.parametrize(("form", "answer"), [(SEVERAL, '["A / A1","B"]'), (SEVERAL, "[]"), (ONE, "B / A2")])
def test_a_prelabel_of_nested_choices_is_read_back_and_taken_by_the_sdk(form: LabelingConfig, answer: str) -> None:
    result = results.encode(form, answer, None)
    assert oracle(form, result) == []
    assert results.read(form, result, None).label == answer
    written = [region("choices", choices=[["A", "A1"]])]
    assert oracle(form, written) != [], "the SDK refuses what the editor writes"
    [brought] = results.imported(form, written)
    assert oracle(form, [brought]) == []
    assert brought["value"]["choices"] == [["A", "A1"]]


def test_the_value_of_a_choice_with_an_alias_is_read_as_that_choice() -> None:
    assert results.read(config("labels"), [region("choices", choices=["B"])], None).label == '["b"]'
    assert results.read(config("spans"), [region("labels", start=0, end=1, labels=["B"])], None).label == '[[0,1,"b"]]'
    form = LabelingConfig.parse(
        '<View><Text name="t" value="$text"/><Choices name="label" toName="t"><Choice value="one" alias="two"/>'
        '<Choice value="two" alias="three"/></Choices></View>'
    )
    for chosen, answer in (("one", "two"), ("two", "two"), ("three", "three")):
        assert results.read(form, [region("choices", choices=[chosen])], None).label == answer, "an alias comes first"


def test_a_control_about_two_things_prelabels_the_first_and_is_read_from_either() -> None:
    form = LabelingConfig.parse(
        '<View><Image name="i1" value="$a"/><Image name="i2" value="$b"/><Rating name="label" toName="i1,i2"/></View>'
    )
    result = results.encode(form, "4", None)
    assert oracle(form, result) == []
    assert result[0]["to_name"] == "i1"
    assert results.read(form, [{**result[0], "to_name": "i2"}], None).label == "4"
