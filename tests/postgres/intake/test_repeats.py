"""A loop with `reuse_answers`: unchanged content under a new key brings the answer along, and counts nowhere twice."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.store.database import Database
from tests.support.hops.answering_desk import exported
from tests.support.hops.repeating_desk import RepeatingDesk


@pytest.fixture
def desk(database: Database) -> RepeatingDesk:
    return RepeatingDesk(database)


def facts(status: Any, *names: str) -> tuple[Any, ...]:
    return tuple(status[name] for name in names)


def test_unchanged_content_under_a_new_key_has_the_answer_at_once(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.give("a", "anna", False, correction="dog", comment="it barks")
    made = desk.send("b", "miaow")
    assert [(one["state"], one["new"]) for one in made] == [("answered", True)]
    status = desk.status("b")
    assert facts(status, "state", "settled", "label", "approval", "correction", "comments", "reviewers") == (
        "answered", True, "dog", False, "dog", ["it barks"], 1,
    )  # fmt: skip
    original = desk.status("a")
    assert status["repeats"] == {"key": "a", "id": original["id"], "answered_by": ["anna"]}
    assert (status["answered_at"], original["repeats"]) == (original["answered_at"], None)
    assert desk.counts() == {"answers": 1, "feedback": 1, "pool": 0, "repeats": 1}


def test_a_loop_without_it_asks_again_and_stores_nothing_more(desk: RepeatingDesk) -> None:
    desk.change(reuse_answers=False)
    desk.send("a", "miaow")
    desk.give("a", "anna")
    assert desk.send("b", "miaow")[0]["state"] == "waiting"
    assert desk.status("b")["repeats"] is None
    assert desk.sql("select 1 from contents union all select 1 from repeats") == []


def test_names_in_another_order_are_the_same_content_and_other_fields_are_another(desk: RepeatingDesk) -> None:
    desk.post({"key": "a", "data": {"text": "miaow", "n": {"x": 1, "y": [2]}}, "label": "cat", "confidence": 0.5})
    desk.give("a", "anna")
    same = b'{ "key":"b", "label":"dog", "confidence":0.9, "data": {"n": {"y":[2],  "x":1}, "text":"miaow"} }'
    made = desk.ask("POST", "/v1/loops/pets/outputs", data=same, content_type="application/json")
    assert made.json["outputs"][0]["state"] == "answered"
    for key, data in {
        "c": {"text": "miaow", "n": {"x": 1, "y": [3]}},
        "d": {"text": "miaow "},
        "e": {"text": "miaow", "n": None},
    }.items():
        desk.post({"key": key, "data": data, "label": "cat", "confidence": 0.5})
        assert facts(desk.status(key), "state", "repeats") == ("waiting", None)
    # What people do not see is no content.
    assert desk.send("f", "miaow")[0]["state"] == "waiting"
    made = desk.post({"key": "g", "data": {"text": "miaow", "n": {"x": 1, "y": [2]}}, "label": "eel",
                      "meta": {"tier": 1}, "group": "other", "model_version": "8"})  # fmt: skip
    assert made.json["outputs"][0]["state"] == "answered"


def test_the_same_key_again_changes_nothing(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.give("a", "anna")
    for is_new in (True, False, False):
        (one,) = desk.send("b", "miaow")
        assert (one["state"], one["new"]) == ("answered", is_new)
    assert desk.post({"key": "b", "data": {"text": "wuff"}, "label": "cat"}).status_code == 409
    assert desk.counts()["repeats"] == 1


def test_an_output_the_trigger_does_not_send_has_the_answer_too(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.give("a", "anna", False, correction="dog")
    assert desk.send("b", "miaow", confidence=0.99)[0]["state"] == "answered"
    assert facts(desk.status("b"), "lane", "label", "correction") == ("pass", "dog", "dog")


def test_several_in_one_request_are_one_question_as_if_each_had_come_alone(desk: RepeatingDesk) -> None:
    sent = [("a", 0.99), ("b", 0.5), ("c", 0.5), ("d", 0.99)]

    def body(key: str, confidence: float, text: str) -> dict[str, Any]:
        return {"key": key, "data": {"text": text}, "label": "cat", "confidence": confidence}

    made = desk.post(*[body(key, confidence, "miaow") for key, confidence in sent])
    assert [one["state"] for one in made.json["outputs"]] == ["passed", "waiting", "waiting", "passed"]
    for key, confidence in sent:
        desk.post(body(f"alone/{key}", confidence, "wuff"))
    assert [row["key"] for row in desk.sql("select key from pool order by key")] == ["alone/b", "b"], "asked once"
    for before in ("", "alone/"):
        statuses = {key: desk.status(before + key) for key in "abcd"}
        assert {key: status["repeats"] and status["repeats"]["key"] for key, status in statuses.items()} == {
            "a": None, "b": None, "c": f"{before}b", "d": f"{before}b",
        }  # fmt: skip
        assert statuses["c"]["repeats"]["answered_by"] == []
        desk.give(f"{before}b", "anna")
        assert [desk.status(before + key)["state"] for key in "abcd"] == ["passed", *["answered"] * 3]


def test_what_passed_is_no_original(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow", confidence=0.99)
    assert [desk.send(key, "miaow", confidence=0.99)[0]["state"] for key in "bc"] == ["passed", "passed"]
    assert desk.counts()["repeats"] == 0
    assert desk.send("d", "miaow")[0]["state"] == "waiting"
    assert desk.send("e", "miaow")[0]["state"] == "waiting"
    assert [row["key"] for row in desk.sql("select key from pool")] == ["d"]
    desk.give("d", "anna")
    assert [desk.status(key)["state"] for key in "abce"] == ["passed", "passed", "passed", "answered"]


def test_a_repeat_of_an_open_task_follows_it(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.open_task(desk.id("a"), 1)
    assert desk.send("b", "miaow")[0]["state"] == "waiting"
    assert desk.sql("select 1 from pool") == []
    desk.annotate(desk.id("a"), 1, "eel")
    assert facts(desk.status("b"), "state", "label") == ("answered", "eel")
    desk.annotate(desk.id("a"), 1, "dog", later_s=60)  # an edit
    assert facts(desk.status("b"), "state", "label") == ("answered", "dog")
    desk.annotate(desk.id("a"), 1, None)  # taken back
    assert facts(desk.status("b"), "state", "label") == ("waiting", None)
    assert desk.status("a")["state"] == "in_review"
    desk.annotate(desk.id("a"), 2, "cat")
    assert facts(desk.status("b"), "state", "label") == ("answered", "cat")
    assert desk.status("b")["repeats"]["answered_by"] == ["ben@x.org"]


def test_an_answer_to_the_repeat_itself_is_its_own(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.send("b", "miaow")
    desk.send("c", "miaow")
    desk.give("b", "ben", False, correction="dog")  # while the original waits
    assert facts(desk.status("b"), "state", "label", "repeats") == ("answered", "dog", None)
    assert [desk.status(key)["state"] for key in "ac"] == ["waiting", "waiting"]
    desk.give("a", "anna")
    desk.give("c", "cleo", False, correction="eel")  # after it
    assert facts(desk.status("c"), "state", "label", "reviewers", "repeats") == ("answered", "eel", 1, None)
    assert desk.counts() == {"answers": 3, "feedback": 3, "pool": 0, "repeats": 0}


def test_another_source_shares_no_answer(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow", source="chat")
    desk.give("a", "anna")
    assert desk.send("b", "miaow", source="mail")[0]["state"] == "waiting"
    assert desk.send("c", "miaow")[0]["state"] == "waiting"
    assert desk.send("d", "miaow", source="chat")[0]["state"] == "answered"


def test_a_label_that_left_the_form_is_not_reused(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.give("a", "anna", False, correction="eel")
    form = desk.spec.labels_xml
    fewer = form.replace('<Choice value="eel"/>', '<Choice value="owl"/>')
    assert fewer != form
    desk.change(labels=("cat", "dog", "owl"), labels_xml=fewer)
    assert desk.send("b", "miaow")[0]["state"] == "waiting"
    assert desk.status("b")["repeats"] is None
    desk.give("b", "ben", False, correction="owl")
    assert desk.send("c", "miaow")[0]["state"] == "answered"
    assert desk.status("c")["label"] == "owl"


def test_gold_is_always_asked_and_never_reused(desk: RepeatingDesk) -> None:
    desk.send("a", "miaow")
    desk.give("a", "anna")
    assert desk.send("g", "miaow", gold="dog")[0]["state"] == "waiting"
    assert facts(desk.status("g"), "lane", "repeats") == ("gold", None)
    desk.send("h", "wuff", gold="dog")
    desk.give("h", "anna")
    assert desk.send("i", "wuff")[0]["state"] == "waiting"
    assert desk.status("i")["repeats"] is None


def test_the_callback_tells_where_the_answer_came_from_and_what_became_of_it(desk: RepeatingDesk) -> None:
    with desk.database.transaction() as conn:
        conn.execute(
            "insert into callbacks (url, secret, events) values ('https://x.example', 'whsec_' || repeat('a', 32),"
            " array['output.answered', 'answer.changed'])"
        )
    desk.send("a", "miaow")
    desk.open_task(desk.id("a"), 1)
    desk.annotate(desk.id("a"), 1, "eel")
    desk.send("b", "miaow")
    desk.annotate(desk.id("a"), 1, "dog", later_s=60)
    desk.annotate(desk.id("a"), 1, None)
    told = desk.sql(
        "select event, fact ->> 'key' as key, fact ->> 'answer_label' as label, fact ->> 'original' as original,"
        " fact -> 'answered_by' as by from deliveries order by created_at"
    )
    of_b = [(row["event"], row["label"], row["original"], row["by"]) for row in told if row["key"] == "b"]
    assert of_b == [
        ("output.answered", "eel", "a", ["anna@x.org"]),
        ("answer.changed", "dog", "a", ["anna@x.org"]),
        ("answer.changed", None, "a", None),
    ]
    assert [row["event"] for row in told if row["key"] == "a"] == [event for event, *_ in of_b]


def test_an_export_names_the_original_and_its_changes_add_up_to_a_full_one(desk: RepeatingDesk) -> None:
    copy: dict[tuple[str, str], Any] = {}
    cursor: str | None = None

    def catch_up() -> list[dict[str, Any]]:
        nonlocal cursor
        rows, cursor = exported(desk, cursor)
        for row in rows:
            copy.pop((row["model_output_id"], row["reviewer_id"]), None)
            if not row["deleted"]:
                copy[row["model_output_id"], row["reviewer_id"]] = row
        full, _ = exported(desk)
        order = lambda row: (row["model_output_id"], row["reviewer_id"])  # noqa: E731
        assert sorted(copy.values(), key=order) == sorted(full, key=order)
        return full

    desk.send("a", "miaow")
    desk.open_task(desk.id("a"), 1)
    desk.send("b", "miaow", label="dog")
    assert catch_up() == []
    desk.annotate(desk.id("a"), 1, "cat")
    found = {row["key"]: row for row in catch_up()}
    assert facts(found["a"], "approval", "correction", "answer", "repeats") == (True, None, "cat", None)
    assert facts(found["b"], "approval", "correction", "answer", "repeats") == (False, "cat", "cat", "a")
    assert found["b"]["reviewer"] == found["a"]["reviewer"] == "anna@x.org"
    desk.send("c", "miaow")
    assert {row["key"] for row in catch_up()} == {"a", "b", "c"}
    desk.annotate(desk.id("a"), 1, "dog", later_s=60)
    assert {row["answer"] for row in catch_up()} == {"dog"}
    desk.give("c", "cleo")
    assert {(row["key"], row["repeats"]) for row in catch_up()} == {("a", None), ("b", "a"), ("c", None)}
    desk.annotate(desk.id("a"), 1, None)
    assert {row["key"] for row in catch_up()} == {"c"}
    (sft,) = [exported(desk, format="sft")[0]]
    assert len(sft) == 1, "no answer is an example twice"
