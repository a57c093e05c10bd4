"""Loops that were registered before: their answers are never read as those of another control, or of several."""

from __future__ import annotations

import pytest

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.spec.folder import parse
from labelloop.spec.kept_answer import keep_answer
from labelloop.spec.loop import LoopSpec

YAML = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'


def spec(xml: str, more: str = "") -> LoopSpec:
    return parse("several", YAML + more, xml)


STARS = """<View><Text name="text" value="$text"/><Choices name="topic" toName="text"><Choice value="a"/>
<Choice value="b"/></Choices><Rating name="stars" toName="text"/></View>"""


def test_a_loop_that_was_about_one_control_keeps_its_answer() -> None:
    new = spec(STARS)
    assert new.config.kind is Kind.FORM
    old = LoopSpec.from_json({**new.to_json(), "answer": [], "labels": ["a", "b"]})
    assert old.config.kind is Kind.LABEL
    kept = keep_answer(old, new, answered=True)
    assert (kept.answer, kept.config.kind, kept.labels) == ((), Kind.LABEL, ("a", "b"))
    wider = spec(
        STARS.replace(
            "</View>", '<Choices name="more" toName="text"><Choice value="x"/><Choice value="y"/></Choices></View>'
        )
    )
    kept = keep_answer(old, wider, answered=True)
    assert (kept.answer, kept.config.kind) == (("topic",), Kind.LABEL), "a second Choices changes nothing"


def test_answers_that_exist_are_never_read_as_another_kind() -> None:
    asked = spec(STARS, "  answer: [topic, stars]\n")
    old = LoopSpec.from_json({**asked.to_json(), "answer": [], "labels": ["a", "b"]})
    with pytest.raises(SpecError, match="`answer: topic` keeps them"):
        keep_answer(old, asked, answered=True)
    assert keep_answer(old, asked, answered=False) == asked
    fewer = spec(STARS, "  answer: topic\n")
    with pytest.raises(SpecError, match=r"`answer: \[topic, stars\]` keeps them"):
        keep_answer(LoopSpec.from_json(asked.to_json()), fewer, answered=True)


def test_two_controls_of_one_name_are_refused() -> None:
    with pytest.raises(SpecError, match="two tags are named 'topic'"):
        LabelingConfig.parse(STARS.replace('name="stars"', 'name="topic"'))
