"""Content: what an answer is about, whatever the order of names, and without what people do not see."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.labeling.config import LabelingConfig
from labelloop.outputs.content import content_sha256, still_fits
from labelloop.outputs.output import Output
from labelloop.spec.folder import parse

CHOICES = parse("pets", "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog]}").config
WRITES = LabelingConfig.parse(
    '<View><Text name="text" value="$text"/><TextArea name="correction" toName="text"/></View>'
)
STEPS = LabelingConfig.parse(
    '<View><Text name="steps" value="$labelloop_steps"/><Text name="text" value="$text"/>'
    '<Choices name="label" toName="text"><Choice value="cat"/><Choice value="dog"/></Choices></View>'
)
STARS = LabelingConfig.parse('<View><Text name="text" value="$text"/><Rating name="label" toName="text"/></View>')


def of(config: LabelingConfig = CHOICES, **changes: Any) -> bytes | None:
    output = Output(**{"key": "k", "data": {"text": "x", "n": 1}, "label": "cat", **changes})
    return content_sha256(output, config, output.label)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "other"},
        {"data": {"n": 1, "text": "x"}},
        {"label": "dog"},
        {"confidence": 0.3, "model_version": "9", "group": "g", "meta": {"a": 1}, "embedding": [1.0]},
        {"trace": "t", "step": "s"},
    ],
)
def test_these_make_no_difference(changes: dict[str, Any]) -> None:
    assert of() == of(**changes) is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"text": "x"}},
        {"data": {"text": "X", "n": 1}},
        {"data": {"text": "x", "n": "1"}},
        {"data": {"text": "x", "n": 1, "more": None}},
        {"source": "chat"},
    ],
)
def test_these_are_other_content(changes: dict[str, Any]) -> None:
    assert of() != of(**changes)


def test_a_written_answer_is_about_the_label_too() -> None:
    assert of(WRITES) == of(WRITES, confidence=0.1)
    assert of(WRITES) != of(WRITES, label="dog")


def test_gold_and_an_output_below_shown_steps_cannot_be_compared() -> None:
    assert of(gold="cat") is None
    assert of(STEPS, trace="t") is None
    assert of(STEPS) == of(STEPS, key="other") is not None


@pytest.mark.parametrize(
    ("answer", "config", "labels", "fits"),
    [
        ("cat", CHOICES, {"cat", "dog"}, True),
        ("eel", CHOICES, {"cat", "dog"}, False),
        ("cat", CHOICES, {"dog", "eel"}, False),
        ("any text", WRITES, set(), True),
        ("4", STARS, set(), True),
        ("7", STARS, set(), False),
        ("cat", STARS, set(), False),
    ],
)
def test_an_answer_fits_while_people_could_still_give_it(
    answer: str, config: LabelingConfig, labels: set[str], fits: bool
) -> None:
    assert still_fits(answer, config, frozenset(labels)) is fits


def test_boxes_that_people_judge_are_content_but_not_their_ids_scores_or_the_claim() -> None:
    boxes = LabelingConfig.parse(
        '<View><Image name="i" value="$i"/><RectangleLabels name="b" toName="i"><Label value="car"/></RectangleLabels>'
        '<Choices name="label" toName="i"><Choice value="right"/><Choice value="missing"/></Choices></View>'
    )

    def drawn(x: float, score: float = 0.5, name: str = "box0", claim: str = "right") -> bytes | None:
        box = {
            "id": name, "from_name": "b", "to_name": "i", "type": "rectanglelabels", "score": score,
            "value": {"x": x, "y": 1, "width": 2, "height": 3, "rotation": 0, "rectanglelabels": ["car"]},
        }  # fmt: skip
        said = {"from_name": "label", "to_name": "i", "type": "choices", "value": {"choices": [claim]}}
        return of(boxes, data={"i": "/a.png"}, result=[box, said])

    assert drawn(10) == drawn(10, score=0.9, name="other", claim="missing") is not None
    assert drawn(10) != drawn(20)
    assert drawn(10) != of(boxes, data={"i": "/a.png"}, label="right")
