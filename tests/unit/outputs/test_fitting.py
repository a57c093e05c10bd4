"""A result is refused at intake exactly where Label Studio would refuse it as a prediction: its own SDK says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from label_studio_sdk.label_interface.interface import LabelInterface

from labelloop.errors import InvalidOutput
from labelloop.labeling.config import LabelingConfig
from labelloop.outputs import fitting, reading

XML = """<View><Text name="text" value="$text"/><Text name="other" value="$text"/><Image name="i" value="$text"/>
<Choices name="label" toName="text"><Choice value="a"/><Choice value="B" alias="b"/></Choices>
<TextArea name="comment" toName="text"/><Labels name="l" toName="text"><Label value="P"/></Labels>
<Rating name="r" toName="text,other" maxRating="7"/><Number name="n" toName="text" max="5"/>
<Taxonomy name="tax" toName="text"><Choice value="A"><Choice value="A1"/></Choice></Taxonomy>
<Rectangle name="box" toName="i"/><Labels name="what" toName="i"><Label value="Car"/></Labels></View>"""
CONFIG = LabelingConfig.parse(XML)


def region(name: str, kind: str, to: str = "text", **value: object) -> dict[str, Any]:
    return {"id": "1", "from_name": name, "to_name": to, "type": kind, "value": value}


A = region("label", "choices", choices=["a"])
SPAN = region("l", "labels", start=0, end=1, labels=["P"])
RELATION = {"type": "relation", "from_id": "1", "to_id": "1", "direction": "right"}
BOX = {"x": 1, "y": 1, "width": 5, "height": 5, "rotation": 0}
TAKEN: dict[str, list[dict[str, Any]]] = {
    "a choice": [A],
    "a choice by its alias": [region("label", "choices", choices=["b"])],
    "two choices": [region("label", "choices", choices=["a", "b"])],
    "no choice": [region("label", "choices", choices=[])],
    "a type in capitals": [{**A, "type": "Choices"}],
    "more than is asked for": [{**A, "origin": "prediction", "score": 0.3, "value": {**A["value"], "x": 1}}],
    "no id": [{name: A[name] for name in A if name != "id"}],
    "a value below the control's name": [region("label", "choices", label={"choices": ["a"]})],
    "a text": [region("comment", "textarea", text=["hi"])],
    "a span": [SPAN],
    "a span without a label": [region("l", "labels", start=0, end=1, labels=[])],
    "a span beyond the text": [region("l", "labels", start=0, end=99.0, labels=["P"])],
    "ends as texts": [region("l", "labels", start="0", end="1", labels=["P"])],
    "stars": [region("r", "rating", rating=7)],
    "stars as a text": [region("r", "rating", rating="4")],
    "stars about the other": [region("r", "rating", to="other", rating=4.0)],
    "a number beyond the bounds": [region("n", "number", number=9)],
    "a path": [region("tax", "taxonomy", taxonomy=[["A", "A1"]])],
    "the end of a path": [region("tax", "taxonomy", taxonomy=[["A1"]])],
    "a relation": [SPAN, RELATION],
    "a relation before its region": [{**RELATION, "labels": ["of"]}, SPAN],
    "nothing but a shape": [region("box", "rectangle", to="i", **BOX)],
    "a shape and its labels as one": [region("what", "rectanglelabels", to="i", rectanglelabels=["Car"], **BOX)],
    "a shape and its labels as two": [
        region("box", "rectangle", to="i", **BOX),
        region("what", "labels", to="i", labels=["Car"], **BOX),
    ],
}
REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "an unknown choice": ([region("label", "choices", choices=["a", "z"])], "result[0].value.choices[1]"),
    "the value of a choice with an alias": ([region("label", "choices", choices=["B"])], "result[0].value.choices[0]"),
    "a choice that is no list": ([region("label", "choices", choices="a")], "result[0].value.choices"),
    "a choice that is no text": ([region("label", "choices", choices=[1])], "result[0].value.choices[0]"),
    "no choices": ([region("label", "choices")], "result[0].value.choices"),
    "an unknown control": ([A, region("q", "choices", choices=["a"])], "result[1].from_name"),
    "about what is not there": ([region("label", "choices", to="txt", choices=["a"])], "result[0].to_name"),
    "about another": ([region("label", "choices", to="other", choices=["a"])], "result[0].to_name"),
    "about two at once": ([region("r", "rating", to="text,other", rating=4)], "result[0].to_name"),
    "the type of another": ([region("label", "labels", choices=["a"])], "result[0].type"),
    "a text that is no list": ([region("comment", "textarea", text="hi")], "result[0].value.text"),
    "a span with an unknown label": (
        [region("l", "labels", start=0, end=1, labels=["Q"])],
        "result[0].value.labels[0]",
    ),
    "a span without labels": ([region("l", "labels", start=0, end=1)], "result[0].value.labels"),
    "a span without an end": ([region("l", "labels", start=0, labels=["P"])], "result[0].value.end"),
    "too many stars": ([region("r", "rating", rating=8)], "result[0].value.rating"),
    "half a star": ([region("r", "rating", rating=2.5)], "result[0].value.rating"),
    "no star": ([region("r", "rating", rating=None)], "result[0].value.rating"),
    "a number that is none": ([region("n", "number", number="many")], "result[0].value.number"),
    "a path that is no list": ([region("tax", "taxonomy", taxonomy=["A"])], "result[0].value.taxonomy[0]"),
    "an unknown path": ([region("tax", "taxonomy", taxonomy=[["A", "Z"]])], "result[0].value.taxonomy[0][1]"),
    "a relation to nothing": ([SPAN, {**RELATION, "to_id": "9"}], "result[1].to_id"),
    "a relation to nowhere": ([SPAN, {**RELATION, "direction": "up"}], "result[1].direction"),
}
ORACLE: Any = LabelInterface(XML)


def read(result: list[dict[str, Any]], config: LabelingConfig = CONFIG) -> None:
    body = {"key": "k", "data": {"text": "xyz"}, "result": result, "score": 0.5}
    fitting.check(reading.parse(json.dumps(body).encode()), config, ())


@pytest.mark.parametrize("what", TAKEN)
def test_what_label_studio_takes_is_taken(what: str) -> None:
    assert ORACLE.validate_prediction({"result": TAKEN[what]}, return_errors=True) == []
    read(TAKEN[what])


@pytest.mark.parametrize("what", REFUSED)
def test_what_label_studio_refuses_is_refused_by_its_field(what: str) -> None:
    result, path = REFUSED[what]
    assert ORACLE.validate_prediction({"result": result}, return_errors=True) != []
    with pytest.raises(InvalidOutput) as caught:
        read(result)
    assert caught.value.path == path


def test_a_refusal_of_a_label_names_those_that_there_are() -> None:
    with pytest.raises(InvalidOutput, match=r"no such label '[^']+'; there are: a, b"):
        read([region("label", "choices", choices=["z"])])


def test_paths_of_nested_choices_are_taken_as_the_editor_writes_them() -> None:
    nested = LabelingConfig.parse(
        '<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="multiple" '
        'allowNested="true"><Choice value="A"><Choice value="A1"/></Choice><Choice value="B"/></Choices></View>'
    )
    for chosen in (["A1"], [["A", "A1"], ["B"]]):
        read([region("label", "choices", choices=chosen)], nested)
    with pytest.raises(InvalidOutput) as caught:
        read([region("label", "choices", choices=[["A", "Z"]])], nested)
    assert caught.value.path == "result[0].value.choices[0][1]"
