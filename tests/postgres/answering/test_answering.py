"""The routes of answering in this process: what they take, refuse and say."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from labelloop.spec.folder import parse
from labelloop.store.database import Database
from tests.support.hops.answered import answer
from tests.support.intake_client import HEADERS, URL, Intake, output
from tests.support.network.sync_service import PETS

HOLDS_OUT_MOST = parse("pets", "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog], holdout: 0.9}")


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database, PETS)


def close(intake: Intake, key: str = "a", **body: Any) -> dict[str, Any]:
    said = intake.ask("POST", f"{URL}/{key}/outcome", json=body)
    assert said.status_code in (200, 201), said.json
    return dict(said.json["outcome"])


def test_a_settled_output_is_returned_at_once_and_an_open_one_after_the_wait(intake: Intake) -> None:
    intake.post(output("sure", 0.95), output("a"))
    began = time.monotonic()
    said = intake.get(f"{URL}/sure/answer?wait=30").json
    assert (said["state"], said["settled"], said["will_be_asked"]) == ("passed", True, False)
    assert time.monotonic() - began < 8
    said = intake.get(f"{URL}/a/answer?wait=0.6").json
    assert (said["state"], said["settled"], said["will_be_asked"]) == ("waiting", False, True)
    assert 0.6 <= time.monotonic() - began < 8


def test_the_answer_ends_the_wait(intake: Intake, database: Database) -> None:
    intake.post(output("a"))
    person = threading.Timer(0.5, answer, (database, "pets", "a"))
    person.start()
    began = time.monotonic()
    said = intake.get(f"{URL}/a/answer?wait=30").json
    person.join()
    assert (said["state"], said["label"], said["approval"]) == ("answered", "cat", True)
    assert time.monotonic() - began < 8


def test_a_confident_output_of_the_hold_out_set_will_be_asked(database: Database) -> None:
    intake = Intake(database, HOLDS_OUT_MOST)
    intake.post(*(output(f"k{i}", 0.99) for i in range(40)))
    said = [intake.get(f"{URL}/k{i}/answer").json for i in range(40)]
    assert {one["lane"] for one in said} >= {"holdout", "pass"}
    assert all(one["will_be_asked"] == (one["lane"] != "pass") for one in said)


@pytest.mark.parametrize("key", ["a/answer", "answer", "a/outcome"])
def test_a_key_that_ends_like_a_route_keeps_its_status_and_its_answer(intake: Intake, key: str) -> None:
    intake.post(output(key))
    quoted = key.replace("/", "%2F")
    assert intake.get(f"{URL}/{quoted}").json["key"] == key
    assert intake.get(f"{URL}/{quoted}/answer").json["key"] == key
    assert close(intake, quoted, fallback=1)["value"] == 1


def test_what_nobody_submitted_is_unknown_at_once(intake: Intake) -> None:
    began = time.monotonic()
    for said in (
        intake.get(f"{URL}/nobody/answer?wait=30"),
        intake.ask("POST", f"{URL}/nobody/outcome", json={"fallback": 1}),
        intake.get(f"{URL}/a%09b/answer?wait=30"),
    ):
        assert (said.status_code, said.json["path"]) == (404, "key")
    said = intake.ask("POST", "/v1/loops/pets/answers", json={"keys": ["nobody"], "wait": 30})
    assert said.json == {"loop": "pets", "outputs": [], "unknown": ["nobody"]}
    assert time.monotonic() - began < 8
    assert intake.get("/v1/loops/cows/outputs/a/answer").json["path"] == "loop"


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "soon", "1e400", ""])
def test_a_wait_that_is_no_number_of_seconds_is_refused(intake: Intake, wait: str) -> None:
    said = intake.get(f"{URL}/a/answer?wait={wait}")
    assert (said.status_code, said.json["path"]) == (422, "wait")


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 422, "keys"),
        ({"keys": "a"}, 422, "keys"),
        ({"keys": [1]}, 422, "keys"),
        ({"keys": ["a"], "wait": True}, 422, "wait"),
        ({"keys": ["a"], "wait": None, "settled_only": 1}, 422, "settled_only"),
        ({"keys": ["a"], "until": 1}, 422, "until"),
        ({"keys": ["a"] * 501}, 413, "keys"),
        ([], 422, ""),
    ],
)
def test_a_wrong_question_for_many_names_the_field(intake: Intake, body: Any, status: int, path: str) -> None:
    said = intake.ask("POST", "/v1/loops/pets/answers", json=body)
    assert (said.status_code, said.json["path"]) == (status, path)


def test_many_are_asked_for_together_and_the_first_that_settles_ends_the_wait(
    intake: Intake, database: Database
) -> None:
    intake.post(*(output(f"k{i}") for i in range(5)))
    keys = [f"k{i}" for i in range(5)]
    person = threading.Timer(0.4, answer, (database, "pets", "k3"))
    person.start()
    said = intake.ask("POST", "/v1/loops/pets/answers", json={"keys": keys, "wait": 30, "settled_only": True})
    person.join()
    assert [one["key"] for one in said.json["outputs"]] == ["k3"]
    said = intake.ask("POST", "/v1/loops/pets/answers", json={"keys": [*keys, "x"]})
    assert [(one["key"], one["settled"]) for one in said.json["outputs"]] == [(key, key == "k3") for key in keys]
    assert said.json["unknown"] == ["x"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"{URL}/a/answer"), ("POST", f"{URL}/a/outcome"), ("POST", "/v1/loops/pets/answers")],
)
def test_every_route_needs_the_token(intake: Intake, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        assert intake.ask(method, path, headers=headers, json={}).status_code == 401


def test_a_hold_ends_with_the_answer_if_there_is_one_and_else_with_the_fallback(
    intake: Intake, database: Database
) -> None:
    intake.post(output("a"), output("b"), output("tie"), output("sure", 0.95))
    answer(database, "pets", "a", "dog")
    answer(database, "pets", "tie", None)
    at = "2026-01-31T12:00:00+00:00"
    assert close(intake, "a", fallback="hold", deadline_at=at).items() >= {
        ("kind", "answer"), ("value", "dog"), ("deadline_at", at),
    }  # fmt: skip
    for key, kind, value in (("b", "fallback", {"hold": True}), ("tie", "fallback", "hold"), ("sure", "passed", "cat")):
        said = close(intake, key, fallback=value)
        assert (said["kind"], said["value"]) == (kind, value)


def test_without_a_fallback_the_hold_ends_undecided_and_stays_so(intake: Intake, database: Database) -> None:
    intake.post(output("a"), output("b"))
    first = close(intake)
    assert (first["kind"], first["value"]) == ("undecided", None)
    answer(database, "pets", "a")
    assert close(intake, fallback="late") == first
    assert close(intake, "b", fallback=None)["kind"] == "fallback", "null is a fallback like any other"


def test_the_outcome_stands_whatever_comes_later_and_the_status_shows_both(intake: Intake, database: Database) -> None:
    intake.post(output("a"))
    first = close(intake, fallback="hold")
    answer(database, "pets", "a", "dog")
    assert close(intake, fallback="other") == close(intake, deadline_at=None) == first
    for path in (f"{URL}/a", f"{URL}/a/answer"):
        said = intake.get(path).json
        assert (said["outcome"]["value"], said["label"]) == ("hold", "dog")


def test_an_edit_after_the_end_of_the_hold_changes_the_label_and_not_the_outcome(
    intake: Intake, database: Database
) -> None:
    intake.post(output("a"))
    answer(database, "pets", "a", "cat")
    first = close(intake, fallback="hold")
    answer(database, "pets", "a", "dog")
    said = intake.get(f"{URL}/a").json
    assert (first["value"], said["outcome"], said["label"]) == ("cat", first, "dog")


def test_an_outcome_ends_the_wait_of_a_hold_and_not_that_for_the_answer(intake: Intake) -> None:
    intake.post(output("a"))
    close(intake, fallback="hold")
    began = time.monotonic()
    assert intake.get(f"{URL}/a/answer?wait=30&hold=1").json["outcome"]["value"] == "hold"
    assert time.monotonic() - began < 8
    intake.get(f"{URL}/a/answer?wait=0.5")
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize(
    ("how", "status", "path"),
    [
        ({"json": {"fallbck": 1}}, 422, "fallbck"),
        ({"json": {"deadline_at": "tomorrow"}}, 422, "deadline_at"),
        ({"json": "x"}, 422, ""),
        ({"data": b"{", "content_type": "application/json"}, 422, ""),
        ({"data": b'{"fallback": NaN}', "content_type": "application/json"}, 422, "fallback"),
        ({"data": b'{"fallback": "a\\u0000"}', "content_type": "application/json"}, 422, "fallback"),
        ({"data": b'{"fallback": "' + b"x" * (1 << 20) + b'"}', "content_type": "application/json"}, 413, ""),
        ({"data": b"fallback=1"}, 415, None),
    ],
)
def test_a_wrong_end_of_a_hold_is_refused_and_stores_nothing(
    intake: Intake, how: dict[str, Any], status: int, path: str | None
) -> None:
    intake.post(output("a"))
    said = intake.ask("POST", f"{URL}/a/outcome", headers=HEADERS, **how)
    assert (said.status_code, said.json.get("path")) == (status, path)
    assert intake.sql("select count(*) as n from outcomes")[0]["n"] == 0
