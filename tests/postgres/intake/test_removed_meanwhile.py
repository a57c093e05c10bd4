"""A request that waits while its loop is removed is told so, and stores nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from labelloop.store import removal
from labelloop.store.database import Database
from labelloop.store.tables import loops
from sync.intake.messages import Message, settle
from tests.support.data.malformed import body
from tests.support.data.payloads import payload
from tests.support.hops.answering_desk import Desk
from tests.support.intake_client import Answer, output
from tests.support.workers.consumers import until

T = TypeVar("T")


@pytest.fixture
def desk(database: Database) -> Desk:
    """The loop `pets`, which is archived while a request has found it at work."""
    desk = Desk(database)
    desk.submit("a")
    return desk


def during_removal(desk: Desk, ask: Callable[[], T]) -> T:
    """Return what `ask` returns if the loop is archived and removed between its reading of the loop and its write."""
    with ThreadPoolExecutor(1) as pool:
        with desk.database.transaction() as conn:
            assert loops.archive(conn, "pets", "ada")
            assert removal.remove(conn, "pets")
            asked = pool.submit(ask)
            until(lambda: waits(desk.database) or asked.done())
            assert not asked.done(), asked.result()
        return asked.result(30)


def waits(database: Database) -> bool:
    """Return whether a transaction waits for a lock."""
    waiting = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with database.transaction() as conn:
        return conn.execute(waiting).fetchone() is not None


@pytest.mark.owner
@pytest.mark.parametrize("route", ["outputs", "lines", "otlp", "feedback"])
def test_a_request_is_answered_410_and_nothing_is_stored(desk: Desk, route: str) -> None:
    asks: dict[str, Callable[[], Answer]] = {
        "outputs": lambda: desk.post(output("b")),
        "lines": lambda: desk.post(output("b"), output("c")),
        "otlp": lambda: desk.ask(
            "POST", "/v1/loops/pets/otlp?label=cat", data=json.dumps(payload("otlp_current.json")),
            content_type="application/json",
        ),
        "feedback": lambda: desk.give("a", "anna"),
    }  # fmt: skip
    answer = during_removal(desk, asks[route])
    assert (answer.status_code, answer.json.get("path")) in ((410, "loop"), (404, "loop"), (404, "key")), answer
    with desk.database.transaction() as conn:
        assert removal.counts(conn, "pets") == {}


@pytest.mark.owner
def test_a_message_is_refused_with_the_reason(desk: Desk) -> None:
    settled = during_removal(desk, lambda: settle(desk.database, [Message("pets", body("b"))]))
    assert settled.refused[0].field == "loop", settled
    with desk.database.transaction() as conn:
        assert removal.counts(conn, "pets") == {}
