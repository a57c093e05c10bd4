"""An answer over HTTP that is taken back counts no more, and the others are resolved anew."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from labelloop import Client, Output
from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from labelloop.store.tables import access, loops, tasks
from tests.support.hops.answering_desk import FEEDBACK, Desk, exported, unknown_id
from tests.support.intake_client import Answer, output
from tests.support.network.sync_service import TOKEN

POOL = "select o.key, p.lane::text, p.utility, p.label, p.confidence from pool p join outputs o on o.id = p.output_id"


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def take_back(desk: Desk, key: str, who: str, path: str = FEEDBACK, /, **changes: Any) -> Answer:
    query = {"key": key, "reviewer_id": who, **changes}
    return desk.ask("DELETE", path, query_string={name: value for name, value in query.items() if value is not None})


def test_an_answer_that_is_taken_back_is_as_if_it_had_never_been_given(desk: Desk) -> None:
    """Also for callbacks, for the pool and for exports; the second time nothing changes."""
    with desk.database.transaction() as conn:
        registered.add(conn, None, "https://8.8.8.8/", ["output.answered", "answer.changed"], None)
    (one,) = desk.submit("a")
    before = desk.sql(POOL)
    desk.give("a", "anna", False, correction="dog")
    assert desk.sql(POOL) == []
    ((row,), cursor) = exported(desk)
    said = take_back(desk, "a", "anna")
    assert (said.status_code, said.json) == (200, {
        "loop": "pets", "model_output_id": str(one), "key": "a", "state": "waiting", "answer": None, "new": True,
    })  # fmt: skip
    assert desk.sql(POOL) == before, "people are asked again, as when it came"
    status = desk.status("a")
    assert (status["state"], status["label"], status["settled"], desk.feedback()) == ("waiting", None, False, [])
    ((gone,), last) = exported(desk, since=cursor)
    assert (gone["deleted"], gone["model_output_id"], gone["reviewer_id"]) == (True, str(one), row["reviewer_id"])
    again = take_back(desk, "a", "anna")
    assert (again.status_code, again.json) == (200, {**said.json, "new": False})
    assert exported(desk, since=last)[0] == []
    events = desk.sql("select event, fact ->> 'answer_label' as label from deliveries order by created_at")
    assert [(row["event"], row["label"]) for row in events] == [("output.answered", "dog"), ("answer.changed", None)]
    versions = desk.sql("select deleted from annotation_versions order by seq")
    assert [row["deleted"] for row in versions] == [False, True], "every version is kept"


def test_a_reviewer_who_answers_again_after_that_counts_again(desk: Desk) -> None:
    desk.submit("a")
    for label in ("dog", "eel"):
        assert desk.give("a", "anna", False, correction=label).json["answer"] == label
        assert take_back(desk, "a", "anna").json["new"]
    assert desk.give("a", "anna").json["state"] == "answered"
    assert [row["label"] for row in desk.feedback()] == ["cat"]


def test_the_answers_of_the_others_are_resolved_anew(database: Database) -> None:
    desk = Desk(database, overlap=2)
    desk.submit("a")
    for who, label in (("anna", "dog"), ("ben", "dog"), ("cleo", "eel"), ("dora", "eel"), ("emil", "eel")):
        desk.give("a", who, False, correction=label)
    assert desk.status("a")["label"] == "eel"
    assert take_back(desk, "a", "emil").json["answer"] is None  # a tie
    assert take_back(desk, "a", "cleo").json == {**take_back(desk, "a", "cleo").json, "answer": "dog", "new": True}
    assert desk.status("a")["state"] == "answered"


@pytest.mark.parametrize("was", ["passed", "withdrawn", "quarantined"])
def test_an_output_that_did_not_wait_before_its_answer_does_not_wait_after_it(desk: Desk, was: str) -> None:
    (one,) = desk.submit("a", confidence=0.99 if was == "passed" else 0.6)
    if was != "passed":
        path = ["withdrawn"] if was == "withdrawn" else ["pushing", "quarantined"]
        for state in path:
            desk.sql(f"update outputs set state = '{state}' where id = '{one}' returning id")
        desk.sql("delete from pool returning output_id")
    desk.give("a", "anna")
    assert desk.status("a")["state"] == "answered"
    assert take_back(desk, "a", "anna").json["state"] == was
    assert desk.sql(POOL) == []


def test_an_open_task_is_served_again(desk: Desk) -> None:
    (one,) = desk.submit("a")
    desk.open_task(one, 1)
    desk.give("a", "anna")
    assert take_back(desk, "a", "anna").json["state"] == "in_review"
    assert desk.sql(POOL) == []
    assert desk.sql("select 1 from procrastinate_jobs where task_name = 'sync.push' and status = 'todo'")


def test_an_output_whose_task_was_lost_meanwhile_waits_again(desk: Desk) -> None:
    """A project that is made anew has no tasks for outputs that were answered then."""
    (one,) = desk.submit("a")
    before = desk.sql(POOL)
    desk.open_task(one, 1)
    desk.give("a", "anna")
    with desk.database.transaction() as conn:
        tasks.wait_again(conn, "pets", "its project is made anew")
    assert take_back(desk, "a", "anna").json["state"] == "waiting"
    assert desk.sql(POOL) == before


def test_what_a_person_said_in_label_studio_is_taken_back_there(desk: Desk) -> None:
    (one,) = desk.submit("a")
    desk.open_task(one, 1)
    desk.annotate(one, 1, "dog")
    for name in ("anna@x.org", "ANNA@x.org", reviewer_id(desk)):
        said = take_back(desk, "a", name)
        assert (said.status_code, said.json["path"]) == (403, "reviewer_id")
        assert "Label Studio" in said.json["detail"]
    assert desk.status("a")["label"] == "dog"


def test_the_earlier_answer_of_the_same_person_in_label_studio_counts_again(desk: Desk) -> None:
    (one,) = desk.submit("a")
    desk.open_task(one, 1)
    desk.annotate(one, 1, "dog", later_s=-60)
    assert desk.give("a", "anna@x.org", False, correction="eel").json["answer"] == "eel"
    said = take_back(desk, "a", "anna@x.org").json
    assert (said["answer"], said["state"]) == ("dog", "answered")
    assert [(row["email"], row["label"]) for row in desk.feedback()] == [("anna@x.org", "dog")]
    assert take_back(desk, "a", "anna@x.org").status_code == 403


def test_the_path_of_the_first_interface_takes_the_id(desk: Desk) -> None:
    (one,) = desk.submit("a")
    desk.give("a", "anna")
    by_key = take_back(desk, "a", "anna", "/feedback/")
    assert (by_key.status_code, by_key.json["path"]) == (422, "model_output_id")
    for path, new in (("/feedback/", True), ("/feedback", False)):
        said = desk.ask("DELETE", path, query_string={"model_output_id": str(one), "reviewer_id": "anna"})
        assert (said.status_code, said.json["new"]) == (200, new)


@pytest.mark.parametrize(
    ("changes", "status", "path"),
    [
        ({"key": "nobody"}, 404, "key"),
        ({"key": None, "model_output_id": unknown_id()}, 404, "model_output_id"),
        ({"key": None, "model_output_id": "17"}, 404, "model_output_id"),
        ({"key": None}, 422, "model_output_id"),
        ({"model_output_id": unknown_id()}, 422, "model_output_id"),
        ({"reviewer_id": "ben"}, 404, "reviewer_id"),
        ({"reviewer_id": None}, 422, "reviewer_id"),
        ({"reviewer_id": " a"}, 422, "reviewer_id"),
        ({"approval": "true"}, 422, "approval"),
    ],
)
def test_what_names_no_answer_is_refused_and_changes_nothing(
    desk: Desk, changes: dict[str, Any], status: int, path: str
) -> None:
    desk.submit("a")
    desk.give("a", "anna")
    said = take_back(desk, "a", "anna", **changes)
    assert (said.status_code, said.json["path"]) == (status, path)
    assert (desk.status("a")["state"], len(desk.feedback())) == ("answered", 1)


def test_a_token_takes_back_answers_on_its_own_outputs_only_and_an_archived_loop_keeps_its_own(desk: Desk) -> None:
    said = desk.post({**output("b"), "source": "mail"})
    assert said.status_code == 201
    desk.give("b", "anna")
    with desk.database.transaction() as conn:
        chat, mail = (
            access.add(conn, name, ["feedback"], access.Limits(loop="pets", source=name)) for name in ("chat", "mail")
        )
    query = {"key": "b", "reviewer_id": "anna"}
    for bearer, status in ((chat, 404), ("nonsense", 401), (mail, 200)):
        headers = {"Authorization": f"Bearer {bearer}"}
        assert desk.ask("DELETE", FEEDBACK, query_string=query, headers=headers).status_code == status
    with desk.database.transaction() as conn:
        loops.archive(conn, "pets", "ada")
    assert take_back(desk, "b", "anna").status_code == 410


def test_the_client_gives_and_takes_back(service: str, pets: Database) -> None:
    with Client(service, TOKEN, loop="pets") as client:
        client.submit(Output("taken back", {"text": "miaow"}, label="cat", confidence=0.6))
        assert client.give_feedback("taken back", "anna", False, correction="dog", comment="it barks")
        assert not client.give_feedback("taken back", "anna", False, correction="dog", comment="it barks")
        assert client.wait("taken back", timeout=20).label == "dog"
        assert [client.retract_feedback("taken back", "anna") for _ in range(2)] == [True, False]
        status = client.get("taken back")
        assert status is not None
        assert (status.state, status.label) == ("waiting", None)


def reviewer_id(desk: Desk) -> str:
    rows = desk.sql(f"select id from reviewers where email = 'anna@x.org' and instance = '{desk.instance}'")
    return str(UUID(str(rows[0]["id"])))
