"""Assessments that a trace of MLflow should have, for each kind of form."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from backend.report.assessments import MAX_SOURCE_CHARACTERS, wanted_of
from labelloop.spec.folder import parse
from labelloop.store.mlflow.assessments import Claimed, Judged, Judgement

ONE = Claimed(UUID(int=1), "k", "tr-1", 1, 1)
TRIGGER = "trigger: model_confidence < 0.8"
VERDICT = f"feedback_loop: {{{TRIGGER}, labels: [cat, dog]}}"
APPROVES = f"feedback_loop: {{{TRIGGER}, labels: [approve, reject]}}"
PLAIN = f"feedback_loop: {{{TRIGGER}}}"


def form(control: str) -> str:
    return f'<View><Text name="t" value="$text"/>{control}</View>'


LABEL = form('<Choices name="label" toName="t"><Choice value="true"/><Choice value="false"/></Choices>')
REVIEW = form('<Choices name="label" toName="t"><Choice value="approve"/><Choice value="reject"/></Choices>')
STARS = form('<Rating name="label" toName="t" maxRating="5"/>')
TAGS = form('<Taxonomy name="label" toName="t"><Choice value="late"/><Choice value="rude"/></Taxonomy>')
SPANS = form('<Labels name="label" toName="t"><Label value="PER"/></Labels>')


def said(approval: bool | None, label: str | None, who: str = "anna", number: int = 2) -> Judgement:
    return Judgement(UUID(int=number), who, approval, None, label)


def values(spec: Any, judged: Judged) -> list[tuple[str, Any]]:
    return [(type(one).__name__, one.value) for one in wanted_of(spec, ONE, judged).values()]


@pytest.mark.parametrize(
    ("yaml", "xml", "model", "approval", "answer", "wanted"),
    [
        (VERDICT, "", "cat", True, "cat", [("Feedback", True)]),
        (VERDICT, "", "cat", False, "dog", [("Feedback", False), ("Expectation", "dog")]),
        (VERDICT, "", "cat", False, None, [("Feedback", False)]),
        (APPROVES, "", "approve", False, "reject", [("Feedback", False)]),
        (PLAIN, REVIEW, "approve", False, "reject", [("Feedback", False)]),
        (PLAIN, LABEL, "true", True, "true", [("Feedback", "true")]),
        (PLAIN, LABEL, "true", False, "false", [("Feedback", "false"), ("Expectation", "false")]),
        (PLAIN, LABEL, "true", False, None, [("Feedback", False)]),
        (PLAIN, LABEL, "true", None, None, []),
        (PLAIN, LABEL, None, None, "true", [("Feedback", "true"), ("Expectation", "true")]),
        (PLAIN, STARS, "5", False, "4", [("Feedback", 4), ("Expectation", 4)]),
        (PLAIN, TAGS, "[]", False, '["late"]', [("Feedback", ["late"]), ("Expectation", ["late"])]),
        (PLAIN, TAGS, "[]", False, "late", [("Feedback", "late"), ("Expectation", "late")]),
        (PLAIN, SPANS, "[]", True, "[]", [("Feedback", "[]")]),
    ],
)  # fmt: skip
def test_the_value_is_what_the_form_asks_for_and_a_corrected_answer_is_expected(
    yaml: str, xml: str, model: str | None, approval: bool | None, answer: str | None, wanted: list[tuple[str, Any]]
) -> None:
    spec = parse("pets", yaml, xml) if xml else parse("pets", yaml)
    assert values(spec, Judged(model, answer, [said(approval, answer)])) == wanted


def test_an_answer_without_feedback_is_not_expected() -> None:
    assert values(parse("pets", VERDICT), Judged("cat", "dog", [])) == []


def test_many_reviewers_and_long_names_fit_into_the_source() -> None:
    several = [said(False, "dog", "x" * 300, number) for number in range(3)]
    made = wanted_of(parse("pets", VERDICT), ONE, Judged("cat", "dog", several))
    assert len(made) == 4
    assert all(len(one.source.source_id) == MAX_SOURCE_CHARACTERS for one in made.values())
    assert len({one.assessment_id for one in made.values()}) == 4


def test_the_same_feedback_has_the_same_id_at_each_try() -> None:
    judged = Judged("cat", "dog", [said(False, "dog")])
    ids = [[one.assessment_id for one in wanted_of(parse("pets", VERDICT), ONE, judged).values()] for _ in range(2)]
    assert ids[0] == ids[1]
