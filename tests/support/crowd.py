"""People at work side by side in Label Studio's label stream, and what each of them was served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
from scipy.stats import spearmanr

from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop

PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Serving:
    """One task, served to one person."""

    person: int
    task: int
    key: str
    at: float


def sign_up(label_studio: LabelStudio, number: int) -> list[httpx.Client]:
    """Sign up `number` people, each with an own account and a session that is logged in."""
    sessions = [label_studio.sign_up(f"person-{i}@crowd.example.org")[1] for i in range(number)]
    for session in sessions:
        session.headers["Connection"] = "close"  # Label Studio's server resets a connection that was idle for a while
    return sessions


def work(
    loop: SyncLoop,
    people: Sequence[httpx.Client],
    *,
    at_work: Callable[[], bool] = lambda: False,
    label: Callable[[dict[str, Any]], str] = lambda task: "cat",
    most: int = 10_000,
    pace_s: float = 0.0,
) -> list[Serving]:
    """All of them take tasks and answer them until there is none; returns what was served, in the order of time.

    A person who finds no task asks again while another person has one, or while `at_work`: Label Studio also reports
    none while another person saves the last one. Every other turn asks as the button Label All Tasks does, the rest
    as a program does that asks for the next task. Nobody answers more than `most`; `pace_s`: how long a person looks
    at a task.
    """
    served: list[Serving] = []
    start = threading.Barrier(len(people))
    idle = [False] * len(people)

    def one(person: int, web: httpx.Client) -> None:
        start.wait()
        try:
            taken = 0
            for turn in count():
                go_on = at_work()
                task = _next(loop, web) if (turn + person) % 2 else loop.next_task(web)
                idle[person] = task is None
                if task is not None:
                    served.append(Serving(person, task["id"], task["data"]["labelloop_key"], time.monotonic()))
                    time.sleep(pace_s)
                    loop.annotate(task["id"], label(task), web=web)
                    taken += 1
                    if taken == most:
                        return
                elif all(idle) and not go_on:
                    return
                else:
                    time.sleep(PAUSE_S)
        finally:
            idle[person] = True

    with ThreadPoolExecutor(len(people)) as threads:
        for done in [threads.submit(one, person, web) for person, web in enumerate(people)]:
            done.result()
    return sorted(served, key=lambda serving: serving.at)


def first_opinions(served: Sequence[Serving]) -> list[Serving]:
    """Without what a task was served again to others."""
    first: dict[int, Serving] = {}
    for serving in served:
        first.setdefault(serving.task, serving)
    return list(first.values())


def agreement(served: Sequence[Serving], priorities: Mapping[int, float]) -> float:
    """Spearman's rank correlation of the order in which tasks were served with that of their priorities."""
    return float(spearmanr(range(len(served)), [-priorities[serving.task] for serving in served]).statistic)


def priorities(loop: SyncLoop) -> dict[int, float]:
    """Task to its place in the served order, as we want it now."""
    return {row["label_studio_id"]: row["priority"] for row in loop.sql("select label_studio_id, priority from tasks")}


def _next(loop: SyncLoop, web: httpx.Client) -> dict[str, Any] | None:
    answer = web.get(f"/api/projects/{loop.project_id}/next/")
    return None if answer.status_code == 404 else answer.raise_for_status().json()
