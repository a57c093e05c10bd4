"""Both clients wait and hold in the same way, with the service as it is run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pandas as pd
import pytest

from labelloop import AsyncClient, Client, InvalidOutput, Output, Undecided, Unreachable, UsageError
from labelloop.store.database import Database
from tests.support.hops.answered import answer
from tests.support.network.awaited import Awaited
from tests.support.network.faultproxy import Proxy
from tests.support.network.sync_service import TOKEN

Make = Callable[..., Any]
AWAY = "http://127.0.0.1:9"


@pytest.fixture(params=[Client, Awaited], ids=["Client", "AsyncClient"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def client(make: Make, service: str) -> Iterator[Any]:
    with make(service, TOKEN, loop="pets") as client:
        yield client


@pytest.fixture
def key() -> str:
    return f"ticket/{uuid4()}"


def output(key: str, confidence: float = 0.6) -> Output:
    return Output(key=key, data={"text": "miaow"}, probabilities={"cat": confidence, "dog": 1 - confidence})


class LossyProxy(Proxy):
    """The fault strikes the next request that waits."""

    def take_fault(self, method: str, path: str) -> str:
        if "/answer" not in path:
            return "none"
        fault, self.fault = self.fault, "none"
        return fault


def later(seconds: float, database: Database, key: str, label: str = "cat") -> threading.Timer:
    """Somebody answers after so many seconds."""
    person = threading.Timer(seconds, answer, (database, "pets", key, label))
    person.start()
    return person


def test_both_clients_have_the_same_surface() -> None:
    shown = {name for name in vars(Client) if not name.startswith("_")}
    assert shown - {"background"} == {name for name in vars(AsyncClient) if not name.startswith("_")}


def test_a_text_is_one_key_and_its_answer_ends_the_wait(client: Any, pets: Database, key: str) -> None:
    receipt = client.submit([output(key), output(f"{key}/sure", 0.95)])
    assert (receipt.new, receipt.will_be_asked) == (2, 1)
    person = later(0.5, pets, key, "dog")
    began = time.monotonic()
    status = client.wait(key, timeout=60)
    person.join()
    assert (status.key, status.label, status.correction, status.is_settled) == (key, "dog", "dog", True)
    assert time.monotonic() - began < 8


def test_at_the_deadline_the_default_is_returned_or_the_status_as_it_is(client: Any, key: str) -> None:
    client.submit(output(key))
    for default in ("ham", None):
        began = time.monotonic()
        assert client.wait(key, timeout=0.4, default=default) is default
        assert 0.4 <= time.monotonic() - began < 8
    status = client.wait(key, 0.1)
    assert (status.state, status.is_settled, status.will_be_asked) == ("waiting", False, True)


def test_a_settled_output_returns_within_a_second_and_an_unknown_key_too(client: Any, pets: Database, key: str) -> None:
    client.submit([output(key), output(f"{key}/sure", 0.95)])
    answer(pets, "pets", key)
    began = time.monotonic()
    assert client.wait(key, timeout=60, default=None).label == "cat"
    assert client.wait(f"{key}/sure", timeout=60, default=None).will_be_asked is False
    unknown = client.wait(f"{key}/nobody", timeout=60, default=None)
    assert (unknown.state, unknown.is_settled, unknown.will_be_asked) == ("unknown", True, False)
    found = client.wait([key, f"{key}/nobody", f"{key}/sure"], timeout_s=60)
    assert {name: status.state for name, status in found.items()} == {
        key: "answered",
        f"{key}/nobody": "unknown",
        f"{key}/sure": "passed",
    }
    assert time.monotonic() - began < 8


def test_a_key_that_ends_like_the_route_has_its_own_status(client: Any, key: str) -> None:
    client.submit([output(key, 0.95), output(f"{key}/answer")])
    assert client.get(f"{key}/answer").state == client.wait(f"{key}/answer", 0.1).state == "waiting"
    assert client.wait(key, 0.1).state == "passed"


def test_several_keys_are_waited_for_together(client: Any, pets: Database, key: str) -> None:
    keys = [f"{key}/{i}" for i in range(3)]
    client.submit(map(output, keys))
    people = [later(0.3, pets, keys[0]), later(0.7, pets, keys[1])]
    found = client.wait(keys, 2)
    for person in people:
        person.join()
    assert [found[name].state for name in keys] == ["answered", "answered", "waiting"]
    assert client.wait([], 60) == {}


def test_a_batch_is_complete_with_the_wanted_share_and_not_before(client: Any, pets: Database, key: str) -> None:
    keys = [f"{key}/{i}" for i in range(10)]
    client.submit(map(output, keys))
    for name in keys[:8]:
        answer(pets, "pets", name)
    early = client.wait_batch(keys, share=0.9, timeout=0.5)
    assert (early.is_complete, early.settled, list(early.statuses)) == (False, 0.8, keys)
    person = later(0.3, pets, keys[9])
    began = time.monotonic()
    batch = client.wait_batch(keys, share=0.9, timeout=60)
    person.join()
    assert (batch.is_complete, batch.settled) == (True, 0.9)
    assert time.monotonic() - began < 8


def test_a_batch_of_more_keys_than_a_request_takes_is_asked_for_in_parts(client: Any, pets: Database, key: str) -> None:
    keys = [f"{key}/{i}" for i in range(1_100)]
    client.submit(output(name, 0.6 if i % 500 == 0 else 0.95) for i, name in enumerate(keys))
    person = later(0.3, pets, keys[1000])
    batch = client.wait_batch(keys, share=1_098 / 1_100, timeout=30)
    person.join()
    assert (batch.is_complete, len(batch.statuses)) == (True, 1_100)


def test_an_integer_is_the_key_of_its_text(client: Any) -> None:
    number = uuid4().int >> 65
    client.submit(Output(number, {"text": "miaow"}, label="cat", confidence=1.0))  # type: ignore[arg-type]
    client.submit({"key": np.int64(number), "data": {"text": "miaow"}, "label": "cat", "confidence": 1.0})
    for key in (number, np.int64(number), str(number)):
        status = client.get(key)
        assert (status.key, status.state) == (str(number), client.wait(key, 0).state)
        assert client.wait([key], 0)[key].id == status.id
        assert client.wait_batch([key], timeout=0).statuses[key].id == status.id
        assert client.decide(key, timeout=0, fallback=1).value == "cat"
    assert client.wait(UUID(int=number), 0).key == str(UUID(int=number))
    with_key = {"data": {"text": "miaow"}, "label": "cat"}
    for bad in (3.5, True, np.bool_(True), None, b"x"):
        for call in (
            client.get,
            lambda key: client.wait([key], 0),
            lambda key: client.submit({"key": key, **with_key}),
        ):
            with pytest.raises(InvalidOutput) as caught:
                call(bad)
            assert caught.value.path == "key"
    with pytest.raises(InvalidOutput, match=r"key: must be a text of 1 to 500 bytes; it is 3\.5"):
        client.get(3.5)
    for unfit in (3.5, None, "ab"):
        with pytest.raises(UsageError, match="give several keys as a list"):
            client.wait_batch(unfit, timeout=0)


@pytest.mark.parametrize("fault", ["drop reply", "cut reply", "answer 502"])
def test_a_wait_goes_on_although_a_response_is_lost(
    service: str, make: Make, pets: Database, key: str, fault: str
) -> None:
    with LossyProxy(service) as proxy, make(proxy.url, TOKEN, loop="pets") as client:
        client.submit(output(key))
        proxy.arm(fault)
        person = later(0.5, pets, key)
        assert client.wait(key, timeout=60).label == "cat"
        person.join()
        assert proxy.struck.is_set()


def test_a_service_that_is_away_ends_no_wait_before_its_deadline_and_takes_no_longer(make: Make) -> None:
    with make(AWAY, TOKEN, loop="pets") as client:
        calls: list[Callable[[], object]] = [
            lambda: client.wait("a", timeout=1),
            lambda: client.wait(["a"], 1),
            lambda: client.decide(output("a"), timeout=1, fallback="hold"),
        ]
        for call in calls:
            began = time.monotonic()
            with pytest.raises(Unreachable):
                call()
            assert 0.9 <= time.monotonic() - began < 8
        began = time.monotonic()
        assert client.wait("a", timeout=1, default="ham") == "ham"
        assert time.monotonic() - began < 8


def test_a_wait_that_is_asked_for_wrongly_is_refused(make: Make) -> None:
    with make(AWAY, TOKEN, loop="pets", attempts=1) as client:
        calls: list[Callable[[], object]] = [
            lambda: client.wait("a"),
            lambda: client.wait("a", 1, timeout_s=1),
            lambda: client.wait(["a"], 1, default=None),
            lambda: client.wait_batch(["a"], share=1.5, timeout=1),
            lambda: client.wait("a", -1),
            lambda: client.wait("a", float("nan"), default=None),
            lambda: client.decide("a", timeout=float("inf"), fallback=1),
        ]
        for call in calls:
            with pytest.raises(UsageError):
                call()
        with pytest.raises(InvalidOutput):
            client.wait(" a", 1)
        with pytest.raises(InvalidOutput, match="fallback"):
            client.decide("a", timeout=1, fallback=object())


def test_a_hold_ends_with_the_answer(client: Any, pets: Database, key: str) -> None:
    person = later(0.5, pets, key, "dog")
    outcome = client.decide(output(key), timeout=60, fallback="hold")
    person.join()
    assert (outcome.kind, outcome.value) == ("answer", "dog")
    answer(pets, "pets", key, "cat")
    assert client.decide(key, timeout=60, fallback="other") == outcome, "an edit changes no outcome"
    assert client.get(key).label == "cat"


def test_a_hold_about_which_nobody_is_asked_ends_at_once_with_the_pipelines_label(client: Any, key: str) -> None:
    began = time.monotonic()
    outcome = client.decide(output(key, 0.95), timeout=60, fallback="hold")
    assert (outcome.kind, outcome.value) == ("passed", "cat")
    assert time.monotonic() - began < 8


def test_a_hold_ends_with_the_fallback_for_ever_and_a_late_answer_is_a_label(
    client: Any, pets: Database, key: str
) -> None:
    outcome = client.decide(output(key), timeout=0.3, fallback={"action": "refund"})
    assert (outcome.kind, outcome.value) == ("fallback", {"action": "refund"})
    assert outcome.deadline_at is not None
    began = time.monotonic()
    assert client.decide(key, timeout=60, fallback="other") == outcome, "also while nobody has answered"
    answer(pets, "pets", key, "dog")
    assert client.decide(key, timeout=60) == outcome
    assert time.monotonic() - began < 8
    status = client.get(key)
    assert (status.outcome, status.label) == (outcome, "dog")


@pytest.mark.parametrize("timeout", [0, 0.001, 0.02])
def test_a_hold_whose_deadline_passes_during_the_submit_ends_with_the_fallback(
    client: Any, key: str, timeout: float
) -> None:
    outcome = client.decide(output(key), timeout=timeout, fallback="hold")
    assert (outcome.kind, outcome.value) == ("fallback", "hold")


def test_without_a_fallback_nobody_continues(client: Any, pets: Database, key: str) -> None:
    for fallback in ({}, {"fallback": "hold"}):  # the first end of the hold stands
        with pytest.raises(Undecided, match=key):
            client.decide(output(key), timeout=0.2, **fallback)
    assert client.get(key).outcome.kind == "undecided"
    with pytest.raises(UsageError, match="no output 'nobody'"):
        client.decide("nobody", timeout=60, fallback="hold")


def test_the_rows_of_a_frame_are_submitted(client: Any, key: str) -> None:
    frame = pd.DataFrame(
        {
            "id": [f"{key}/{i}" for i in range(3)],
            "text": ["a", "b", "c"],
            "note": ["x", None, pd.NA],
            "age": [1.5, np.nan, 3],
            "at": pd.to_datetime(["2026-01-31", None, "2026-02-01"]),
            "cat": np.array([0.6, 0.95, 0.5], dtype=np.float32),
            "p_dog": np.array([0.4, 0.05, 0.5], dtype=np.float32),
        }
    )
    shares = {"cat": "cat", "dog": "p_dog"}
    receipt = client.submit_frame(frame, key="id", probabilities=shares, model_version="v7")
    assert (receipt.new, receipt.will_be_asked) == (3, 2)
    again = client.submit_frame(
        frame, key="id", data=["text", "note", "age", "at"], probabilities=shares, model_version="v7"
    )
    assert (again.new, again.known) == (0, 3)
    assert client.get(f"{key}/0").model_version == "v7"
