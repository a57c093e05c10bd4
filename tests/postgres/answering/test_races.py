"""Races between answers, deadlines and submits: one row, one answer, one outcome."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx

from labelloop import Client, Output
from labelloop.store.database import Database
from tests.support.hops.answered import answer
from tests.support.network.sync_service import TOKEN

TIMES = 500


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Call all at the same moment, each in a thread of its own."""
    barrier = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [each.result() for each in [threads.submit(one, call) for call in calls]]


def output(key: str) -> Output:
    return Output(key=key, data={"text": "miaow"}, probabilities={"cat": 0.6, "dog": 0.4})


def test_an_answer_in_the_second_of_the_deadline_leaves_one_outcome_and_is_recorded_500_times(
    service: str, pets: Database
) -> None:
    keys = [f"deadline-{i}-{uuid4()}" for i in range(TIMES)]
    rng = random.Random(0)
    kinds: Counter[str] = Counter()
    with (
        Client(service, TOKEN, loop="pets") as client,
        httpx.Client(base_url=f"{service}/v1/loops/pets", headers={"Authorization": f"Bearer {TOKEN}"}) as http,
    ):
        client.submit(map(output, keys))

        def close(key: str, fallback: str) -> Any:
            return http.post(f"/outputs/{key}/outcome", json={"fallback": fallback}).raise_for_status().json()

        def person(key: str, late_s: float) -> None:
            time.sleep(late_s)
            answer(pets, "pets", key, "dog")

        for key in keys:
            late_s = rng.uniform(0, 0.006)
            first, second, _ = together(
                lambda: close(key, "hold"), lambda: close(key, "other"), lambda: person(key, late_s)  # noqa: B023
            )  # fmt: skip
            assert first["outcome"] == second["outcome"] == close(key, "late")["outcome"]
            status = client.get(key)
            assert status is not None
            assert status.outcome is not None
            assert status.label == "dog", "the answer is recorded in both orders"
            assert (status.outcome.kind, status.outcome.value) in {
                ("answer", "dog"), ("fallback", "hold"), ("fallback", "other"),
            }  # fmt: skip
            kinds[status.outcome.kind] += 1
    with pets.transaction() as conn:
        row = conn.execute(
            "select count(*) as n from outcomes join outputs o on o.id = output_id where o.key like 'deadline-%'"
        ).fetchone()
    assert row is not None
    assert row["n"] == TIMES
    assert min(kinds["answer"], kinds["fallback"]) > 0, kinds


def test_a_hundred_parallel_submits_of_one_key_are_one_row_and_one_answer(service: str, pets: Database) -> None:
    key = f"parallel-{uuid4()}"
    with Client(service, TOKEN, loop="pets") as client:
        receipts = together(*[lambda: client.submit(output(key))] * 100)
        assert sum(receipt.new for receipt in receipts) == 1
        assert sum(receipt.known for receipt in receipts) == 99
        waiting = [lambda: client.wait(key, timeout=60)] * 20
        statuses = together(*waiting, lambda: answer(pets, "pets", key, "dog"))[:-1]
    assert {status.label for status in statuses} == {"dog"}
    assert counted(pets, key) == {"outputs": 1, "pool": 1, "answers": 1}


def test_five_submits_of_one_key_wait_for_people_once(service: str, pets: Database) -> None:
    key = f"five-{uuid4()}"
    with Client(service, TOKEN, loop="pets") as client:
        for _ in range(5):
            client.submit([output(key), output(key)])
    assert counted(pets, key) == {"outputs": 1, "pool": 1, "answers": 0}, "a row of the pool becomes one task"


def test_what_waits_in_two_places_resumes_once_in_each(service: str, pets: Database) -> None:
    key = f"twice-{uuid4()}"
    with Client(service, TOKEN, loop="pets") as client:
        client.submit(output(key))
        outcomes = together(
            lambda: client.decide(key, timeout=60, fallback="one"),
            lambda: client.decide(key, timeout=0.5, fallback="two"),
        )
        answer(pets, "pets", key, "dog")
        assert [outcome.value for outcome in outcomes] == ["two", "two"], "the first end of the hold ends both"


def counted(database: Database, key: str) -> dict[str, int]:
    with database.transaction() as conn:
        row = conn.execute(
            """
            select (select count(*) from outputs where key = %(key)s) as outputs,
                (select count(*) from pool where key = %(key)s) as pool,
                (select count(*) from answers a join outputs o on o.id = a.output_id where o.key = %(key)s) as answers
            """,
            {"key": key},
        ).fetchone()
    assert row is not None
    return dict(row)
