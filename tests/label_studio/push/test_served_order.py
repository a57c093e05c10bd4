"""The order in which Label Studio serves tasks to people who work at once, against the one that we want."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from labelloop.store.database import Database
from sync.project.project import ML_TITLE
from tests.support.crowd import Serving, agreement, first_opinions, priorities, sign_up, work
from tests.support.ml_backend import PASSWORD, ml_backend
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

TASKS = 20
EXACT = 0.95
CHANCE = 0.75
"""A random order of so many tasks agrees better than this once in thousands of runs."""


@pytest.fixture(scope="module")
def people(label_studio: LabelStudio) -> Iterator[list[httpx.Client]]:
    sessions = sign_up(label_studio, 5)
    yield sessions
    for session in sessions:
        session.close()


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[SyncLoop]:
    """With an ML backend connected, as `up` connects it."""
    with (
        sync_loop(database, label_studio.url, label_studio.token) as loop,
        ml_backend(loop.settings, database, tmp_path) as url,
    ):
        loop.settings = replace(loop.settings, backend_url=url, backend_password=PASSWORD)
        yield loop
        assert [one.url for one in loop.gateway.ml_backends(loop.project_id)] == [url]


def submit(loop: SyncLoop, n: int) -> None:
    """Outputs in a random order of their utilities, each as useful as one other."""
    confidences = [0.3 + 0.4 * (i // 2) / n for i in range(n)]
    random.Random(n).shuffle(confidences)
    loop.submit(n, confidences=confidences)


def queue(loop: SyncLoop, **changes: Any) -> None:
    loop.spec = loop.spec.model_copy(update={"queue": loop.spec.queue.model_copy(update=changes)})


def well_served(loop: SyncLoop, served: list[Serving], number: int, opinions: int = 1) -> None:
    """In our order, each task to as many people as are asked, nobody the same twice, and nobody starved."""
    assert agreement(first_opinions(served), priorities(loop)) >= EXACT
    assert len({(one.task, one.person) for one in served}) == len(served)
    assert Counter(one.task for one in served) == dict.fromkeys(priorities(loop), opinions)
    assert {one.person for one in served} == set(range(number))
    assert {len(task["annotations"]) for task in loop.tasks()} == {opinions}


@pytest.mark.parametrize("overlap", [1, 2])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_people_are_served_the_most_useful_first(
    loop: SyncLoop, people: list[httpx.Client], number: int, overlap: int
) -> None:
    """Second opinions come at random, of what somebody has answered already; so the first ones are looked at."""
    loop.spec = loop.spec.model_copy(update={"overlap": overlap})
    for _ in range(2):  # two imports of the same version
        submit(loop, TASKS // 2)
        loop.push()
    well_served(loop, work(loop, people[:number]), number, min(number, overlap))


def test_a_window_that_is_topped_up_while_people_work_keeps_the_order(
    loop: SyncLoop, people: list[httpx.Client]
) -> None:
    queue(loop, window=8, diversity=0.0)
    submit(loop, TASKS)
    loop.push()
    open_, over = list[int](), threading.Event()

    def top_up() -> None:
        while not over.is_set():
            loop.pull()
            loop.push()
            open_.append(loop.states()["in_review"])
            if loop.states() == {"answered": TASKS}:
                over.set()

    with ThreadPoolExecutor(1) as beside:
        topping_up = beside.submit(top_up)
        try:
            served = work(loop, people[:3], at_work=lambda: not topping_up.done())
        finally:
            over.set()
        topping_up.result()
    well_served(loop, served, 3)
    assert max(open_) <= 8


def test_an_ml_backend_as_the_version_makes_the_order_random_and_the_next_push_sets_it_right(
    loop: SyncLoop, people: list[httpx.Client]
) -> None:
    """Label Studio sets it so by itself where an ML backend is connected to a project without a version."""
    submit(loop, TASKS + 10)
    loop.push()
    loop.web.patch(f"/api/projects/{loop.project_id}/", json={"model_version": ML_TITLE}).raise_for_status()
    assert agreement(work(loop, people[:1], most=TASKS), priorities(loop)) < CHANCE
    loop.push()
    assert agreement(work(loop, people[:2]), priorities(loop)) >= EXACT
