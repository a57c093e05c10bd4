"""Feedback over HTTP: it counts like an answer from Label Studio, once for each reviewer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from labelloop.answers import given
from labelloop.queue.batches import BatchState
from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.pipelines import direct
from labelloop.store.tables import batches, loops, pool
from sync.push.batches import put_back
from tests.support.hops.answering_desk import FEEDBACK, Desk, unknown_id
from tests.support.intake_client import Answer


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_feedback_answers_an_output_in_the_shape_of_the_first_interface(desk: Desk) -> None:
    (one,) = desk.submit("a")
    body = {"model_output_id": str(one), "reviewer_id": "anna", "approval": False, "correction": "dog",
            "comment": "it barks"}  # fmt: skip
    said = desk.ask("POST", "/feedback/", json=body)
    assert said.status_code == 201
    assert {name: said.json[name] for name in ("loop", "key", "label", "answer", "state", "new")} == {
        "loop": "pets", "key": "a", "label": "dog", "answer": "dog", "state": "answered", "new": True,
    }  # fmt: skip
    status = desk.status("a")
    assert (status["state"], status["label"], status["approval"], status["correction"], status["comments"]) == (
        "answered", "dog", False, "dog", ["it barks"],
    )  # fmt: skip
    assert desk.sql("select 1 from pool") == []
    again = desk.ask("POST", "/feedback", json=body)
    assert (again.status_code, again.json["new"]) == (200, False), "the same route without the slash"
    events = desk.sql("select was::text, became::text, reason from output_events order by seq")
    assert [(e["was"], e["became"]) for e in events] == [("waiting", "answered")]


def test_the_same_feedback_twice_changes_nothing_and_another_replaces_it(desk: Desk) -> None:
    desk.submit("a")
    assert (desk.give("a", "anna").status_code, desk.give("a", "anna").status_code) == (201, 200)
    assert desk.sql("select count(*) as n from annotation_versions")[0]["n"] == 1
    changed = desk.give("a", "anna", False, correction="eel")
    assert (changed.status_code, changed.json["answer"]) == (201, "eel")
    assert desk.give("a", "anna", True).json["answer"] == "cat"
    assert [row["label"] for row in desk.feedback()] == ["cat"]
    # Every version of the answer is kept.
    said = desk.sql("select result -> 0 -> 'value' ->> 'approval' as said from annotation_versions order by seq")
    assert [row["said"] for row in said] == ["true", "false", "true"]


def test_several_reviewers_agree_as_in_label_studio(database: Database) -> None:
    desk = Desk(database, overlap=2)
    desk.submit("a")
    assert desk.give("a", "anna").json["state"] == "waiting"
    assert desk.give("a", "ben", False, correction="dog").json["answer"] is None  # a tie
    assert desk.status("a")["state"] == "answered"
    assert desk.give("a", "cleo", False, correction="dog").json["answer"] == "dog"
    assert desk.status("a")["agreement"] == pytest.approx(2 / 3)


def test_a_rejection_without_a_correction_has_no_label(desk: Desk) -> None:
    desk.submit("a")
    assert desk.give("a", "anna", False).json["label"] is None
    status = desk.status("a")
    assert (status["state"], status["label"], status["approval"]) == ("answered", None, False)


def test_a_person_of_label_studio_and_of_http_is_one_reviewer_whose_newest_answer_counts(desk: Desk) -> None:
    (one,) = desk.submit("a")
    desk.open_task(one, 1)
    desk.annotate(one, 1, "dog", later_s=-60)
    assert desk.give("a", "ANNA@x.org", False, correction="eel").json["answer"] == "eel"
    assert [(row["email"], row["label"]) for row in desk.feedback()] == [("anna@x.org", "eel")]
    desk.annotate(one, 2, "eel")  # the pull reads Anna's older answer once more
    assert [(row["email"], row["label"]) for row in desk.feedback()] == [("anna@x.org", "eel"), ("ben@x.org", "eel")]
    desk.annotate(one, 1, "cat", later_s=60)
    assert [row["label"] for row in desk.feedback()] == ["cat", "eel"]
    assert desk.give("a", "anna@x.org").status_code == 201  # also against a clock that is ahead
    assert desk.give("a", str(_reviewer_id(desk)), False, correction="dog").json["answer"] is None
    assert [row["label"] for row in desk.feedback()] == ["dog", "eel"]


def test_the_open_task_of_an_answered_output_is_marked_for_the_next_push(desk: Desk) -> None:
    one, other = desk.submit("a", "b")
    desk.open_task(one, 1)
    desk.open_task(other, 2)
    assert desk.give("a", "anna").json["state"] == "answered"
    desk.annotate(other, 2, "cat", task_id=2)
    with desk.database.transaction() as conn:
        assert [(row.label_studio_id, row.answered) for row in direct.to_tell(conn, "pets", 1)] == [(1, True)]
        direct.told(conn, one, answered=True)
        assert direct.to_tell(conn, "pets", 1) == []
    assert desk.sql("select 1 from procrastinate_jobs where task_name = 'sync.push' and status = 'todo'")


def test_feedback_leaves_what_cannot_be_read_in_label_studio_as_it_is(desk: Desk) -> None:
    (one,) = desk.submit("a")
    desk.open_task(one, 1)
    desk.annotate(one, 1, "bird")
    (reason,) = desk.status("a")["unreadable"]
    assert "bird" in reason
    assert desk.give("a", "ben").json["answer"] == "cat"
    assert desk.status("a")["unreadable"] == [reason]


def test_an_output_that_is_on_its_way_to_label_studio_is_settled_when_its_batch_ends(desk: Desk) -> None:
    one, other = desk.submit("a", "b")
    with desk.database.transaction() as conn:
        batch = batches.intend(conn, "pets", "m", 2)
        assert pool.take(conn, batch, {one: 0.5, other: 0.4}) == batches.start(conn, batch) == 2
    assert desk.give("a", "anna").json["state"] == "pushing"
    with desk.database.transaction() as conn:
        put_back(conn, batch, BatchState.INTENT, BatchState.ABANDONED, "it was never sent")
    assert (desk.status("a")["state"], desk.status("b")["state"]) == ("answered", "waiting")
    assert [row["output_id"] for row in desk.sql("select output_id from pool")] == [other]


def test_an_output_that_was_not_asked_about_can_be_answered(desk: Desk) -> None:
    desk.submit("sure", confidence=0.99)
    assert desk.status("sure")["state"] == "passed"
    assert desk.give("sure", "anna").json["state"] == "answered"


@pytest.mark.parametrize(
    ("changes", "status", "path"),
    [
        ({"key": "nobody"}, 404, "key"),
        ({"key": None, "model_output_id": unknown_id()}, 404, "model_output_id"),
        ({"key": None, "model_output_id": "17"}, 404, "model_output_id"),
        ({"key": None, "model_output_id": 17}, 422, "model_output_id"),
        ({"key": None}, 422, "model_output_id"),
        ({"model_output_id": unknown_id()}, 422, "model_output_id"),
        ({"approval": "yes"}, 422, "approval"),
        ({"approval": 1}, 422, "approval"),
        ({"approval": None}, 422, "approval"),
        ({"reviewer_id": 7}, 422, "reviewer_id"),
        ({"reviewer_id": ""}, 422, "reviewer_id"),
        ({"reviewer_id": " a"}, 422, "reviewer_id"),
        ({"reviewer_id": None}, 422, "reviewer_id"),
        ({"comment": 1}, 422, "comment"),
        ({"comment": "x" * 10_001}, 422, "comment"),
        ({"correction": "dog"}, 422, "correction"),
        ({"approval": False, "correction": "bird"}, 422, "correction"),
        ({"approval": False, "correction": {"a": 1}}, 422, "correction"),
        ({"approval": False, "correction": ["dog"]}, 422, "correction"),
        ({"more": 1}, 422, "more"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field_and_stores_nothing(
    desk: Desk, changes: dict[str, Any], status: int, path: str
) -> None:
    desk.submit("a")
    body = {"key": "a", "reviewer_id": "anna", "approval": True, **changes}
    said = desk.ask("POST", FEEDBACK, json=body)
    assert (said.status_code, said.json["path"], said.json["status"]) == (status, path, status)
    assert desk.sql("select 1 from annotation_versions union all select 1 from reviewers") == []


def test_a_request_without_a_token_or_of_another_type_is_refused(desk: Desk) -> None:
    desk.submit("a")
    for path in (FEEDBACK, "/feedback/"):
        assert desk.ask("POST", path, json={}, headers={}).status_code == 401
        assert desk.ask("POST", path, data=b"a=1", content_type="application/x-www-form-urlencoded").status_code == 415
        assert desk.ask("POST", path, data=b"{", content_type="application/json").status_code == 422
        assert desk.ask("POST", path, data=b" " * 300_000, content_type="application/json").status_code == 413
    assert desk.ask("POST", "/v1/loops/cars/feedback", json={}).status_code == 404
    by_id = desk.ask("POST", "/feedback/", json={"key": "a", "reviewer_id": "anna", "approval": True})
    assert (by_id.status_code, by_id.json["path"]) == (422, "model_output_id")


def test_an_approval_needs_a_label(database: Database) -> None:
    desk = Desk(database)
    desk.submit("a")
    desk.sql("update outputs set label = null returning id")
    assert desk.give("a", "anna").json["path"] == "approval"
    assert desk.give("a", "anna", False, correction="dog").json["answer"] == "dog"


def test_an_archived_loop_takes_no_feedback_and_a_removed_one_keeps_none(desk: Desk) -> None:
    (one,) = desk.submit("a")
    desk.give("a", "anna")
    with desk.database.transaction() as conn:
        assert loops.archive(conn, "pets", "ada")
    assert desk.give("a", "ben").status_code == 410
    assert desk.ask("POST", "/feedback/", json={"model_output_id": str(one), "reviewer_id": "b", "approval": True}
                    ).status_code == 410  # fmt: skip
    with desk.database.transaction() as conn:
        counts = removal.counts(conn, "pets")
        assert removal.remove(conn, "pets") == counts
        assert counts["feedback_changes"] == 2
        assert removal.counts(conn, "pets") == {}


def test_many_answers_at_the_same_time_are_one_for_each_reviewer(desk: Desk) -> None:
    desk.submit("a", "b")

    def give(n: int) -> Answer:
        client = Desk.__new__(Desk)
        client.web = desk.web.application.test_client()
        return Desk.give(client, "ab"[n % 2], f"reviewer {n // 2 % 3}")

    with ThreadPoolExecutor(6) as pool:
        found = [said.status_code for said in pool.map(give, range(36))]
    assert (found.count(201), found.count(200)) == (6, 30)
    assert desk.sql("select count(*) as n from feedback")[0]["n"] == 6


def test_feedback_is_read_as_it_was_encoded() -> None:
    for approval, correction, comment in [(True, None, None), (False, "dog", "x"), (False, None, "")]:
        reading = given.read(given.encode(approval, correction, comment), "cat")
        assert (reading.approval, reading.correction, reading.comment) == (approval, correction, comment)
        assert reading.label == ("cat" if approval else correction)
    assert given.read([{"type": "choices", "value": {}}], "cat").label is None


def _reviewer_id(desk: Desk) -> UUID:
    rows = desk.sql(f"select id from reviewers where email = 'anna@x.org' and instance = '{desk.instance}'")
    return UUID(str(rows[0]["id"]))
