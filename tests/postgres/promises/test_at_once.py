"""Certificates end and are revoked while outputs come in and answers are taken back, also in several transactions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.train.certify import revoke
from labelloop.store.database import Database
from tests.support.hops.accepting_desk import AcceptingDesk, certified


@pytest.fixture
def desk(database: Database) -> AcceptingDesk:
    return AcceptingDesk(database)


def answered_one(desk: AcceptingDesk) -> str:
    """Have a person answer an output that had passed unseen; return its key."""
    [row] = desk.sql("select o.key from accepted x join outputs o on o.id = output_id order by o.key limit 1")
    key: str = row["key"]
    assert desk.give(key, "anna").json["state"] == "answered"
    return key


def take_back(desk: AcceptingDesk, key: str) -> str:
    said = desk.ask("DELETE", "/v1/loops/pets/feedback", query_string={"key": key, "reviewer_id": "anna"})
    assert said.status_code == 200, said
    state: str = said.json["state"]
    return state


def test_an_answer_that_is_taken_back_after_a_revocation_leaves_the_output_to_people(desk: AcceptingDesk) -> None:
    made = certified(desk)
    key = answered_one(desk)
    with desk.database.transaction() as conn:
        assert revoke(conn, desk.spec, made, "olga", "the cats were dogs")
    assert take_back(desk, key) == "waiting"
    assert desk.status(key)["accepted"]["revoked_at"] is not None
    assert desk.sql(f"select from pool where key = '{key}'")
    assert desk.sql("select from outputs where state = 'accepted'") == []
    # it is answered and taken back once more
    assert desk.give(key, "anna").json["state"] == "answered"
    assert take_back(desk, key) == "waiting"


def test_an_answer_that_is_taken_back_during_a_revocation_leaves_the_output_to_people(desk: AcceptingDesk) -> None:
    made = certified(desk)
    key = answered_one(desk)
    with ThreadPoolExecutor(1) as threads:
        with desk.database.transaction() as conn:
            assert revoke(conn, desk.spec, made, "olga", "the cats were dogs")
            state = threads.submit(take_back, desk, key)
            waits_for_a_lock(desk)
        assert state.result(30) == "waiting"


def waits_for_a_lock(desk: AcceptingDesk, n: int = 1) -> None:
    """Return as soon as `n` statements wait for another transaction."""
    for _ in range(300):
        waiting = desk.sql(
            "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        if len(waiting) >= n:
            return
        time.sleep(0.05)
    raise AssertionError(f"no {n} statements wait for a lock")


def test_outputs_of_a_new_model_version_end_a_certificate_in_requests_at_once(desk: AcceptingDesk) -> None:
    made = certified(desk)
    with ThreadPoolExecutor(4) as threads:
        with desk.database.transaction() as conn:
            conn.execute("select from certificates where id = %(id)s for update", {"id": made.id})
            sent = [threads.submit(desk.send, begin, 5, version="m2", confidences=[0.999] * 5) for begin in "bcde"]
            waits_for_a_lock(desk, 4)
        states = {one["state"] for done in sent for one in done.result(60)}
    assert states == {"waiting"}
    [row] = desk.certificates()
    assert "model version 'm2' came in" in row["ended_because"]
