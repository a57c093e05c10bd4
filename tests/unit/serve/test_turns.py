"""Turns: one model call at a time, few items before many, and waiting calls joined into one."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from backend.learners.predictions import Predictions
from backend.serve.turns import INTERACTIVE_ITEMS, Turns
from labelloop.errors import Busy, Unreadable

LATE = 60.0


class Echo:
    """Says what it is given, and only when it may; it remembers its calls and how many there were at once."""

    def __init__(self) -> None:
        self.calls: list[list[object]] = []
        self.may = threading.Event()
        self.at_once = self.most_at_once = 0

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        if faults := {i: "is bad" for i, item in enumerate(data) if item["text"] == "bad"}:
            raise Unreadable(faults)

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        self.check(data)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.calls.append([item["text"] for item in data])
        assert self.may.wait(LATE)
        self.at_once -= 1
        if any(item["text"] == "poison" for item in data):
            raise RuntimeError("poison")
        return Predictions([str(item["text"]) for item in data], np.full(len(data), 0.5))


@pytest.fixture
def learner() -> Any:
    return Echo()


def items(*texts: str) -> list[dict[str, str]]:
    return [{"text": text} for text in texts]


def until(true: Any) -> None:
    deadline = time.monotonic() + LATE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def waiting(turns: Turns, n: int) -> None:
    until(lambda: len(turns._few) == n)


def test_calls_that_wait_together_are_one_model_call_and_each_gets_its_own_labels(learner: Any) -> None:
    turns = Turns()
    with ThreadPoolExecutor(8) as threads:
        said: list[Future[Any]] = [threads.submit(turns.predict, learner, items("first"), time.monotonic() + LATE)]
        until(lambda: learner.calls)
        for i in range(6):
            said.append(threads.submit(turns.predict, learner, items(str(i), "bad"), time.monotonic() + LATE))
            waiting(turns, i + 1)
        learner.may.set()
        answers = [future.result(LATE) for future in said]
    assert answers == [[("first", 0.5)], *([(str(i), 0.5), (None, 0.0)] for i in range(6))]
    assert learner.calls == [["first"], [str(i) for i in range(6)]]
    assert learner.most_at_once == 1


def test_a_large_request_lets_the_small_ones_go_first_and_is_answered_in_order(learner: Any) -> None:
    turns = Turns()
    many = [str(i) for i in range(100)]
    with ThreadPoolExecutor(2) as threads:
        large = threads.submit(turns.predict, learner, items(*many), time.monotonic() + LATE)
        until(lambda: learner.calls)
        small = threads.submit(turns.predict, learner, items("small"), time.monotonic() + LATE)
        waiting(turns, 1)
        learner.may.set()
        assert small.result(LATE) == [("small", 0.5)]
        assert large.result(LATE) == [(text, 0.5) for text in many]
    assert learner.calls[0] == many[:INTERACTIVE_ITEMS]
    assert learner.calls[1] == ["small"]


def test_one_that_the_model_fails_at_does_not_take_the_others_along(learner: Any) -> None:
    turns = Turns()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(turns.predict, learner, items("first"), time.monotonic() + LATE)
        until(lambda: learner.calls)
        good = threads.submit(turns.predict, learner, items("good"), time.monotonic() + LATE)
        bad = threads.submit(turns.predict, learner, items("poison"), time.monotonic() + LATE)
        waiting(turns, 2)
        learner.may.set()
        assert first.result(LATE) == [("first", 0.5)]
        assert good.result(LATE) == [("good", 0.5)]
        with pytest.raises(RuntimeError, match="poison"):
            bad.result(LATE)


def test_a_call_that_gets_no_turn_in_time_fails_and_is_forgotten(learner: Any) -> None:
    turns = Turns()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(turns.predict, learner, items("first"), time.monotonic() + LATE)
        until(lambda: learner.calls)
        with pytest.raises(Busy, match="too much to do"):
            turns.predict(learner, items("late"), time.monotonic() + 0.01)
        learner.may.set()
        assert first.result(LATE) == [("first", 0.5)]
    assert turns.predict(learner, [], 0.0) == []
    with pytest.raises(Busy, match=f"{INTERACTIVE_ITEMS} of 100 items"):
        turns.predict(learner, items(*"x" * 100), time.monotonic())
    assert learner.calls == [["first"], ["x"] * INTERACTIVE_ITEMS]
