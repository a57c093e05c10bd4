"""Reused answers over the real service: the client has the answer at once, and races have one end."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from labelloop import AsyncClient, Client, Output
from labelloop.store.database import Database
from labelloop.store.tables import access, loops
from labelloop.store.tables.access import Limits
from tests.support.network.sync_service import PETS, TOKEN

LOOP = "again"
TIMES = 60


@pytest.fixture
def http(service: str, pets: Database) -> Iterator[httpx.Client]:
    with pets.transaction() as conn:
        loops.register(conn, PETS.model_copy(update={"name": LOOP, "reuse_answers": True}))
    with httpx.Client(
        base_url=f"{service}/v1/loops/{LOOP}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60
    ) as http:
        yield http


@pytest.fixture
def client(http: httpx.Client, service: str) -> Iterator[Client]:
    with Client(service, TOKEN, loop=LOOP) as client:
        yield client


def output(key: str, text: str, confidence: float = 0.6) -> Output:
    return Output(key=key, data={"text": text}, probabilities={"cat": confidence, "dog": 1 - confidence})


def give(http: httpx.Client, key: str, correction: str = "dog") -> None:
    body = {"key": key, "reviewer_id": "anna", "approval": False, "correction": correction}
    http.post("/feedback", json=body).raise_for_status()


def together(*calls: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(one, call) for call in calls]]


def test_a_wait_on_the_new_key_returns_at_once_with_the_answer(
    client: Client, http: httpx.Client, service: str
) -> None:
    text = f"miaow {uuid4()}"
    client.submit(output(f"first/{text}", text))
    give(http, f"first/{text}")
    client.submit(output(f"second/{text}", text, 0.7))
    began = time.monotonic()
    status = client.wait(f"second/{text}", timeout=60)
    assert time.monotonic() - began < 20, "it does not wait for the deadline"
    assert (status.state, status.label, status.approval, status.is_settled) == ("answered", "dog", False, True)
    assert status.repeats is not None
    assert (status.repeats["key"], status.repeats["answered_by"]) == (f"first/{text}", ["anna"])
    outcome = client.decide(output(f"third/{text}", text), timeout=60, fallback="nothing")
    assert (outcome.kind, outcome.value) == ("answer", "dog")

    async def same() -> Any:
        async with AsyncClient(service, TOKEN, loop=LOOP) as also:
            return await also.wait(f"second/{text}", timeout=60)

    assert asyncio.run(same()) == status


def test_an_answer_ends_the_waits_on_all_repeats(client: Client, http: httpx.Client) -> None:
    text = f"miaow {uuid4()}"
    keys = [f"{i}/{text}" for i in range(5)]
    client.submit([output(key, text) for key in keys])
    waits: list[Callable[[], Any]] = [lambda key=key: client.wait(key, timeout=60) for key in keys]  # type: ignore[misc]
    *statuses, _ = together(*waits, lambda: give(http, keys[0]))
    assert [status.label for status in statuses] == ["dog"] * 5


def test_an_answer_in_the_moment_of_the_new_key_reaches_it(client: Client, http: httpx.Client, pets: Database) -> None:
    rng = random.Random(0)
    states: Counter[str] = Counter()
    with pets.transaction() as conn:
        conn.execute(
            "insert into callbacks (loop, url, secret, events)"
            " values ('again', 'https://x.example', 'whsec_' || repeat('a', 32), array['output.answered'])"
        )
    for _ in range(TIMES):
        text = str(uuid4())
        client.submit(output(f"a/{text}", text))
        wait_s = rng.uniform(0, 0.01)

        def late(text: str = text, wait_s: float = wait_s) -> str:
            time.sleep(wait_s)
            sent = {"key": f"b/{text}", "data": {"text": text}, "label": "cat", "confidence": 0.6}
            found: str = http.post("/outputs", json=sent).raise_for_status().json()["outputs"][0]["state"]
            return found

        _, state = together(lambda text=text: give(http, f"a/{text}"), late)  # type: ignore[misc]
        states[state] += 1
        status = client.get(f"b/{text}")
        assert status is not None
        assert (status.state, status.label) == ("answered", "dog")
    assert set(states) <= {"waiting", "answered"}
    with pets.transaction() as conn:
        told = conn.execute(
            "select count(*) as n, count(distinct fact ->> 'key') as keys from deliveries where loop = 'again'"
        ).fetchone()
    assert told == {"n": 2 * TIMES, "keys": 2 * TIMES}, "each output is told once"


def test_the_same_new_content_in_many_requests_at_once_is_one_question(
    client: Client, http: httpx.Client, pets: Database
) -> None:
    for _ in range(10):
        text = str(uuid4())
        keys = [f"{i}/{text}" for i in range(8)]
        together(*[lambda key=key: client.submit(output(key, text)) for key in keys])  # noqa: B023
        with pets.transaction() as conn:
            pool = conn.execute("select key from pool where key = any(%s)", [keys]).fetchall()
        assert len(pool) == 1
        give(http, pool[0]["key"])
        assert {status.label for status in client.wait(keys, timeout=60).values()} == {"dog"}


def test_a_token_of_one_source_learns_nothing_of_another(service: str, http: httpx.Client, pets: Database) -> None:
    text = str(uuid4())
    with pets.transaction() as conn:
        tokens = [
            access.add(conn, f"{name}-{text}", ["submit", "read"], Limits(loop=LOOP, source=name))
            for name in ("chat", "mail")
        ]
    with Client(service, tokens[0], loop=LOOP) as chat, Client(service, tokens[1], loop=LOOP) as mail:
        chat.submit(output(f"a/{text}", text))
        give(http, f"a/{text}")
        mail.submit(output(f"b/{text}", text))
        chat.submit(output(f"c/{text}", text))
        theirs, own = mail.get(f"b/{text}"), chat.get(f"c/{text}")
    assert theirs is not None
    assert own is not None
    assert (theirs.state, theirs.repeats, own.state) == ("waiting", None, "answered")
