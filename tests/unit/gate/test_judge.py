"""The facts that the gate gets about an answered item: each model's item score, and its slices."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from backend.decide.judge import confusion, judged, reviewers
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.versions.items import JudgedItem

AT = datetime(2026, 1, 1, tzinfo=UTC)
FORM = '<View><Text name="t" value="$text"/>{}</View>'
SEVERAL = '<Choices name="label" toName="t" choice="multiple"><Choice value="late"/><Choice value="rude"/></Choices>'
SPANS = '<Labels name="label" toName="t"><Label value="name"/><Label value="place"/></Labels>'
STARS = '<Rating name="label" toName="t" maxRating="5"/>'
ONE = '<Choices name="label" toName="t"><Choice value="late"/><Choice value="rude"/></Choices>'


def spec_of(control: str, **gate: Any) -> LoopSpec:
    text = 'feedback_loop:\n  trigger: "model_confidence < 0.8"\n'
    spec = parse("x", text, FORM.format(control))
    return spec.model_copy(update={"gate": spec.gate.model_copy(update=gate)})


def row(label: str, champion: str | None, challenger: str | None, **more: Any) -> JudgedItem:
    item = JudgedItem(
        output_id=UUID(int=1), label=label, champion_label=champion, challenger_label=challenger,
        champion_confidence=0.5, challenger_confidence=None, source="v1", people=["ann", "bob"], length=12,
        resolved_at=AT, fields={"country": "pe", "paid": True, "age": 7}, agreement=1.0, reviewers=1,
    )  # fmt: skip
    return replace(item, **more)


@pytest.mark.parametrize(
    ("control", "answer", "champion", "challenger", "scores", "label"),
    [
        (ONE, "late", "late", "rude", (1, 0), "late"),
        (ONE, "late", None, "late", (0, 1), "late"),
        (SEVERAL, '["late","rude"]', '["late"]', '["late","rude"]', (0.5, 1), ("late", "rude")),
        (SPANS, '[[0,3,"name"],[5,9,"name"]]', '[[0,3,"name"]]', "[]", (2 / 3, 0), ("name",)),
        (STARS, "4", "2", "4", (0.5, 1), 4.0),
    ],
)
def test_each_kind_of_answer_has_its_score_and_its_labels(
    control: str, answer: str, champion: str | None, challenger: str | None, scores: tuple[float, float], label: Any
) -> None:
    item = judged(spec_of(control), row(answer, champion, challenger))
    assert item.item_scores == pytest.approx(scores)
    assert item.facts["label"] == label


def test_an_item_falls_into_the_slices_that_the_loop_wants() -> None:
    item = judged(spec_of(ONE), row("late", "late", "late"))
    assert item.facts == {
        "label": "late", "source": "v1", "reviewer": ("ann", "bob"), "length": 12, "time": AT,
        "data.age": 7.0, "data.country": "pe", "data.paid": "true",
    }  # fmt: skip
    some = judged(spec_of(ONE, slices=("source", "data.country", "data.gone")), row("late", "late", "late"))
    assert some.facts == {"source": "v1", "data.country": "pe", "data.gone": None}


def test_confusions_are_counted_for_plain_labels_only() -> None:
    rows = [row("late", "late", "rude"), row("late", None, "late"), row("rude", "rude", "rude")]
    assert confusion(spec_of(ONE).config, rows) == {
        "labels": ["late", "rude"],
        "champion": [[1, 0, 1], [0, 1, 0]],
        "challenger": [[1, 1, 0], [0, 1, 0]],
    }
    assert confusion(spec_of(SEVERAL).config, [row("[]", "[]", "[]")]) is None
    assert confusion(spec_of(ONE).config, []) is None


def test_agreement_is_that_of_the_answers_that_several_people_gave() -> None:
    rows = [row("late", "late", "late"), row("late", "late", "late", reviewers=3, agreement=0.5, people=["cy"])]
    assert reviewers(rows) == {"people": 3, "answered_by_several": 1, "agreement": 0.5}
    assert reviewers([]) == {"people": 0, "answered_by_several": 0, "agreement": None}
