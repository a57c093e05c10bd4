"""Chains on the real Postgres: the order of a trace, the steps before an item, and what rests on a corrected step."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from labelloop.queue.steps import MOST_LETTERS, MOST_STEPS, Step, steps_text
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import chains
from labelloop.store.tables import access, loops
from tests.support.hops.chained import review, step_of
from tests.support.intake_client import URL, Intake

YAML = "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog], audit: 0.0, holdout: 0.0"
PETS = parse("pets", YAML + "}")
STARS = '<View><Text name="text" value="$text"/><Rating name="stars" toName="text"/></View>'


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database, PETS)


def steps(intake: Intake, key: str, spec: LoopSpec = PETS) -> list[Step]:
    with intake.database.transaction() as conn:
        row = conn.execute("select id from outputs where loop = %s and key = %s", [spec.name, key]).fetchone()
        assert row is not None
        return chains.steps_before(conn, spec, [row["id"]])[row["id"]]


def rests_on(intake: Intake, key: str) -> list[dict[str, Any]]:
    found = intake.get(f"{URL}/{quote(key, safe='')}").json["rests_on"]
    assert isinstance(found, list)
    return found


def test_steps_are_in_the_order_of_their_times_and_of_one_request_in_that_of_its_lines(intake: Intake) -> None:
    intake.post(step_of("t", "late", produced_at="2026-01-02T00:00:00Z"))
    intake.post(step_of("t", "early", produced_at="2026-01-01T00:00:00Z"))
    # Their times are those of the arrival, which is one moment, and their keys are in another order.
    intake.post(step_of("t", "retrieve"), step_of("t", "draft"), step_of("t", "answer"))
    assert [step.step for step in steps(intake, "t/answer")] == ["early", "late", "retrieve", "draft"]
    assert [step.place for step in steps(intake, "t/answer")] == [1, 2, 3, 4]
    assert [step.step for step in steps(intake, "t/late")] == ["early"]
    assert steps(intake, "t/early") == []


def test_an_output_without_a_trace_has_no_steps_and_rests_on_nothing(intake: Intake) -> None:
    intake.post(step_of(None, "a", "a"), step_of(None, "b", "b"))
    review(intake.database, "a", "dog")
    assert steps(intake, "b") == []
    assert rests_on(intake, "b") == []


def test_a_trace_with_a_thousand_steps_shows_the_last_ones_and_their_places(intake: Intake) -> None:
    intake.post(*(step_of("t", f"s{i}") for i in range(1_000)))
    found = steps(intake, "t/s999")
    assert [step.step for step in found] == [f"s{i}" for i in range(999 - MOST_STEPS, 999)]
    assert found[0].place == 1_000 - MOST_STEPS


def test_a_step_has_the_first_characters_of_what_its_form_shows(intake: Intake) -> None:
    intake.post(
        step_of("t", "long", data={"text": "ä" * 100_000, "hidden": "not for annotators"}),
        step_of("t", "picture", data={"text": "data:image/png;base64," + "A" * 10_000}),
        step_of("t", "last"),
    )
    long, picture = steps(intake, "t/last")
    assert (long.text, long.length) == ("ä" * MOST_LETTERS, 100_000)
    assert picture.text == "(a file)"


def test_a_step_says_what_people_answered(intake: Intake) -> None:
    intake.post(*(step_of("t", name) for name in ("open", "confirmed", "corrected", "rejected", "last")))
    review(intake.database, "t/confirmed", "cat")
    review(intake.database, "t/corrected", "dog")
    review(intake.database, "t/rejected", None, approval=False)
    said = {step.step: (step.answered, step.corrected, step.correction) for step in steps(intake, "t/last")}
    assert said == {
        "open": (False, False, None),
        "confirmed": (True, False, None),
        "corrected": (True, True, "dog"),
        "rejected": (True, True, None),
    }


def test_later_outputs_rest_on_a_corrected_step_until_the_correction_is_edited_back(intake: Intake) -> None:
    intake.post(step_of("t", "retrieve"), step_of("t", "draft"), step_of("t", "answer"), step_of("other", "draft"))
    assert rests_on(intake, "t/answer") == []

    review(intake.database, "t/draft", "dog")
    corrected = {"loop": "pets", "key": "t/draft", "step": "draft", "label": "cat", "correction": "dog"}
    assert rests_on(intake, "t/answer") == [corrected]
    assert rests_on(intake, "t/draft") == [], "it does not rest on itself"
    assert rests_on(intake, "t/retrieve") == [], "what came before does not rest on it"
    assert rests_on(intake, "other/draft") == []
    assert intake.sql("select state from outputs where key = 't/answer'")[0]["state"] == "waiting", "not asked again"

    review(intake.database, "t/draft", "cat")
    assert rests_on(intake, "t/answer") == []

    review(intake.database, "t/draft", None, approval=False)
    assert rests_on(intake, "t/answer") == [{**corrected, "correction": None}]

    intake.sql("update outputs set state = 'in_review' where key = 't/draft' returning id")
    assert rests_on(intake, "t/answer") == [], "an answer that was taken back corrects nothing"


def test_a_step_that_comes_late_but_was_produced_before_marks_the_later_ones(intake: Intake) -> None:
    intake.post(step_of("t", "answer", produced_at="2026-01-02T00:00:00Z"))
    intake.post(step_of("t", "retrieve", produced_at="2026-01-01T00:00:00Z"))
    review(intake.database, "t/retrieve", "dog")
    assert [step["key"] for step in rests_on(intake, "t/answer")] == ["t/retrieve"]


def test_a_label_that_the_form_cannot_express_is_confirmed_by_the_nearest_one(database: Database) -> None:
    """Nobody can give 3.7 stars: the reviewer who gives 4 approves."""
    intake = Intake(database, parse("pets", "feedback_loop: {trigger: model_confidence < 0.8}", STARS))
    intake.post(step_of("t", "draft", label=3.7), step_of("t", "answer", label=3.7))
    review(database, "t/draft", "4", approval=True)
    assert intake.get(f"{URL}/t/draft").json["approval"] is True
    assert rests_on(intake, "t/answer") == []
    review(database, "t/draft", "2", approval=False)
    assert rests_on(intake, "t/answer")[0]["correction"] == "2"


def test_steps_of_other_loops_count_only_where_the_spec_names_them(intake: Intake) -> None:
    search = parse("search", YAML + "}")
    with intake.database.transaction() as conn:
        loops.register(conn, search)
    intake.ask("POST", "/v1/loops/search/outputs", json=step_of("t", "retrieve"))
    intake.post(step_of("t", "answer"))
    review(intake.database, "t/retrieve", "dog")
    assert steps(intake, "t/answer") == []
    assert rests_on(intake, "t/answer") == [], "another loop's answers are not told"

    naming = parse("pets", YAML + ", steps: {loops: [search, gone]}}")
    with intake.database.transaction() as conn:
        loops.register(conn, naming)
    [step] = steps(intake, "t/answer", naming)
    assert (step.loop, step.key, step.text) == ("search", "t/retrieve", "text of retrieve")
    [found] = rests_on(intake, "t/answer")
    assert (found["loop"], found["correction"]) == ("search", "dog")

    with intake.database.transaction() as conn:
        token = access.add(conn, "pets", ["read"], access.Limits(loop="pets"))
    said = intake.ask("GET", f"{URL}/t%2Fanswer", headers={"Authorization": f"Bearer {token}"})
    assert said.json["rests_on"] == [], "the token opens no other loop"


def test_a_caller_of_one_source_is_not_told_of_the_steps_of_another(intake: Intake) -> None:
    intake.post(step_of("t", "a", source="rag"), step_of("t", "b", source="crawler"), step_of("t", "c", source="rag"))
    review(intake.database, "t/a", "dog")
    review(intake.database, "t/b", "dog")
    with intake.database.transaction() as conn:
        last = UUID(str(intake.sql("select id from outputs where key = 't/c'")[0]["id"]))
        everything = chains.rests_on(conn, PETS, [last])[last]
        own = chains.rests_on(conn, PETS, [last], source="rag")[last]
    assert [step.key for step in everything] == ["t/a", "t/b"]
    assert [step.key for step in own] == ["t/a"]


def test_what_rests_on_a_correction_is_counted_by_step(intake: Intake) -> None:
    for trace in ("t", "u"):
        intake.post(step_of(trace, "retrieve"), step_of(trace, "draft"), step_of(trace, "answer"))
    review(intake.database, "t/retrieve", "dog")
    review(intake.database, "t/draft", "dog")
    review(intake.database, "u/draft", "dog")
    review(intake.database, "u/answer", "cat")
    with intake.database.transaction() as conn:
        assert chains.resting(conn, PETS) == {"draft": 1, "answer": 2}
        assert chains.corrections(conn, PETS) == {"retrieve": (1, 1), "draft": (2, 2), "answer": (1, 0)}


def test_a_step_whose_reviewers_do_not_agree_is_not_called_confirmed(intake: Intake) -> None:
    intake.post(step_of("t", "draft"), step_of("t", "answer"))
    review(intake.database, "t/draft", None, approval=True)  # a tie
    assert "Confirmed" not in steps_text(steps(intake, "t/answer"), "pets")
    review(intake.database, "t/draft", "cat")
    assert steps_text(steps(intake, "t/answer"), "pets").endswith("Confirmed by people")
