"""Short texts of answers, for tables that people read."""

from __future__ import annotations

import json

import pytest

from backend.report.brief import LONGEST, brief
from backend.report.words import milliseconds, up_to_most
from labelloop.gate.accept import MOST
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.kinds import canonical

TAGS = {
    "boxes": '<Image name="i" value="$i"/><RectangleLabels name="a" toName="i"><Label value="car"/></RectangleLabels>',
    "points": '<Image name="i" value="$i"/><KeyPoint name="a" toName="i"/>',
    "spans": '<Text name="t" value="$t"/><Labels name="a" toName="t"><Label value="car"/><Label value="x"/></Labels>',
    "labels": '<Text name="t" value="$t"/><Taxonomy name="a" toName="t"><Choice value="x"/><Choice value="y"/>'
    "</Taxonomy>",
    "text": '<Text name="t" value="$t"/><TextArea name="a" toName="t"/>',
    "order": '<List name="l" value="$l"/><Ranker name="a" toName="l"/>',
    "number": '<Text name="t" value="$t"/><Number name="a" toName="t"/>',
}


def short(tag: str, answer: object) -> str:
    control = LabelingConfig.parse(f"<View>{TAGS[tag]}</View>").answer
    return brief(control, canonical(control, answer))


@pytest.mark.parametrize(
    ("tag", "answer", "words"),
    [
        ("boxes", [{"box": [1, 1, 5, 5], "label": "car"}, {"box": [9, 9, 5, 5], "label": "car"}], "2 car"),
        ("boxes", [], "no regions"),
        ("points", [{"point": [1, 2]}], "1 region"),
        ("spans", [[0, 2, "car"], [3, 4, "x"], [5, 6, "x"]], "2 x, 1 car"),
        ("labels", ["y", "x"], "x, y"),
        ("labels", [], "none of them"),
        ("text", "two\nlines", "two lines"),
        ("order", ["c", "a"], "c, a"),
        ("number", 3.5, "3.5"),
    ],
)
def test_an_answer_in_a_few_words(tag: str, answer: object, words: str) -> None:
    assert short(tag, answer) == words


def test_a_long_text_is_cut_and_its_length_is_named() -> None:
    found = short("text", "word " * 99 + "word")
    assert found.startswith("word word")
    assert found.endswith("... (499 characters)")
    assert len(found) < LONGEST + 30


def test_answers_to_several_controls_follow_one_another_by_name() -> None:
    form = (
        '<View><Image name="i" value="$i"/><Text name="t" value="$t"/>'
        '<RectangleLabels name="boxes" toName="i"><Label value="car"/></RectangleLabels>'
        '<Choices name="topic" toName="t"><Choice value="late"/></Choices></View>'
    )
    control = LabelingConfig.parse(form, answer=("boxes", "topic")).answer
    answer = canonical(control, {"topic": "late", "boxes": [{"box": [1, 1, 5, 5], "label": "car"}]})
    assert brief(control, answer) == "boxes: 1 car; topic: late"


def test_no_prediction_and_an_answer_to_an_earlier_form_have_words_too() -> None:
    control = LabelingConfig.parse(f"<View>{TAGS['boxes']}</View>").answer
    assert brief(control, None) == "nothing"
    assert brief(control, "cat") == "cat"
    assert brief(control, json.dumps([1, 2])) == "[1, 2]"


@pytest.mark.parametrize(
    ("ms", "words"),
    [(None, "not measured"), (0.42, "0.42 ms"), (99.7, "100 ms"), (1700.4, "1,700 ms"), (12_345, "12 s")],
)
def test_a_time_of_seconds_is_no_power_of_ten(ms: float | None, words: str) -> None:
    assert milliseconds(ms) == words


def test_no_number_of_answers_is_more_than_are_counted() -> None:
    assert [up_to_most(n) for n in (59, 1810, None)] == ["59", "1,810", f"more than {MOST:,}"]
