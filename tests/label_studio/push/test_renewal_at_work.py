"""A new model takes over while people work: what they have open, begun and submitted is as they left it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.score.prelabel import prelabel
from labelloop.errors import Ambiguous
from labelloop.process.settings import Settings
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.versions.version import short
from tests.support.backend_factory import new_champion
from tests.support.crowd import agreement, priorities, sign_up, work
from tests.support.network.faultproxy import Proxy, proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, YAML, SyncLoop, region, sync_loop, wait_until
from tests.support.workers.backend_worker import worker as backend_worker
from tests.support.workers.sync_worker import HOLD, LOCK, Worker, held

EXACT = 0.95
PATIENCE_S = 240.0
"""Time limit of a wait for a worker, which takes seconds of processor time to start."""
LABELS = ("cat", "dog", "eel")
ANSWERED, OPEN, WAITING = 9, 16, 30
TOTAL = ANSWERED + OPEN + WAITING


@pytest.fixture(scope="module")
def people(label_studio: LabelStudio) -> Iterator[list[httpx.Client]]:
    sessions = sign_up(label_studio, 4)
    yield sessions
    for session in sessions:
        session.close()


@pytest.fixture
def faults(label_studio: LabelStudio) -> Iterator[Proxy]:
    with proxy(label_studio.url) as server:
        yield server


@pytest.fixture
def loop(faults: Proxy, database: Database, label_studio: LabelStudio, tmp_path: Path) -> Iterator[SyncLoop]:
    """With answers of each label to learn from, a full window, and outputs that wait."""
    queue = parse("pets", YAML, XML).queue.model_copy(update={"window": OPEN})
    with sync_loop(database, label_studio.url, label_studio.token, through=faults.url, queue=queue) as loop:
        loop.settings = replace(loop.settings, models_dir=tmp_path, heartbeat_s=0.4, pull_every_s=0.5)
        submit(loop, ANSWERED)
        loop.push()
        for task in loop.tasks():
            loop.annotate(task["id"], truth(task))
        loop.pull()
        submit(loop, OPEN + WAITING)
        loop.push()
        loop.do(HOLD)
        faults.strikes = "/import/predictions"
        yield loop


def submit(loop: SyncLoop, n: int) -> None:
    """Texts that say what they are, more or less; the pipeline finds all of them cats."""
    for i in range(n):
        label = LABELS[i % 3]
        words = " ".join([label] * (1 + i % 4) + [LABELS[(i + 1) % 3]] * (i % 3))
        loop.submit(1, confidences=[0.7 - i / 100], data={"text": f"{words} number {i}"})


def truth(task: dict[str, Any]) -> str:
    return str(task["data"]["text"]).split()[0]


def draft(loop: SyncLoop, web: httpx.Client, task: dict[str, Any], label: str) -> int:
    """As the page saves it five seconds after the last click."""
    body = {"result": region(label), "lead_time": 7.5, "draft_id": 0, "project": str(loop.project_id)}
    path = f"/api/tasks/{task['id']}/drafts?project={loop.project_id}"
    return int(web.post(path, json=body).raise_for_status().json()["id"])


def waits(loop: SyncLoop) -> bool:
    """Somebody has come to the point that is held."""
    asked = "select from pg_locks where locktype = 'advisory' and objid = %(id)s and not granted"
    return bool(loop.sql(asked, id=LOCK))


def versions(task: dict[str, Any]) -> set[str]:
    return {prediction["model_version"] for prediction in task["predictions"]}


def only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    [row] = rows
    return row


def test_what_people_have_open_begun_and_submitted_survives_a_renewal(
    loop: SyncLoop, people: list[httpx.Client], faults: Proxy, tmp_path: Path
) -> None:
    anne, ben, cleo, _ = people
    seen, begun, given = (loop.next_task(person) for person in (anne, ben, cleo))
    assert seen is not None
    assert begun is not None
    assert given is not None
    saved = draft(loop, ben, begun, "eel")
    before = {task["id"] for task in loop.tasks()}

    champion = new_champion(loop.database, loop.spec.name, tmp_path)
    assert prelabel(loop.database, loop.spec.name, tmp_path) == OPEN + WAITING
    faults.arm("hold reply")
    with ThreadPoolExecutor(1) as beside:
        renewal = beside.submit(loop.push)
        assert faults.struck.wait(PATIENCE_S), "the predictions are there, and the version is not yet shown"
        loop.annotate(given["id"], "dog", web=cleo)
        assert only([loop.next_task(anne) or {}])["id"] == seen["id"]
        faults.let_go.set()
        with pytest.raises(Ambiguous):  # the answer was lost
            renewal.result()
    loop.push()

    assert loop.gateway.project(loop.project_id).model_version == short(champion)
    again, drafted = loop.next_task(anne), loop.next_task(ben)
    assert again is not None
    assert drafted is not None
    assert (again["id"], drafted["id"]) == (seen["id"], begun["id"])
    assert versions(again) == {short(champion)}
    kept = only(drafted["drafts"])
    assert (kept["id"], kept["result"], kept["lead_time"]) == (saved, region("eel"), 7.5)
    loop.annotate(begun["id"], "eel", web=ben)
    loop.pull()
    loop.push()

    assert before <= {task["id"] for task in loop.tasks()}, "nothing was taken out"
    assert set(loop.tasks_an_output()) == {1}
    answers = loop.sql("select o.key, a.label from answers a join outputs o on o.id = a.output_id")
    labels = {row["key"]: row["label"] for row in answers}
    assert len(labels) == ANSWERED + 2
    assert (labels[given["data"]["labelloop_key"]], labels[begun["data"]["labelloop_key"]]) == ("dog", "eel")

    rest = work(loop, [anne, cleo], label=truth)
    assert rest[0].task == seen["id"] or rest[1].task == seen["id"]
    assert agreement([one for one in rest if one.task != seen["id"]], priorities(loop)) >= EXACT


@pytest.mark.timeout(600)
def test_workers_killed_in_the_middle_of_a_renewal_lose_and_double_nothing(
    loop: SyncLoop, people: list[httpx.Client], faults: Proxy, tmp_path: Path
) -> None:
    """The backend's while it re-scores the pool, sync's before and after its predictions arrive; people go on."""
    settings: Settings = loop.settings
    champion, over = new_champion(loop.database, loop.spec.name, tmp_path), threading.Event()
    with ThreadPoolExecutor(1) as beside, ExitStack() as workers:
        workers.callback(over.set)
        at_work = beside.submit(
            work, loop, people[:2], at_work=lambda: not over.is_set(), label=truth, most=10, pace_s=2.0
        )
        with held(loop, "update", "pool"), backend_worker(settings) as process:
            wait_until(lambda: waits(loop), what="a chunk about to be written")
            process.kill()
        workers.enter_context(backend_worker(settings))
        for fault in ("hold request", "hold reply"):  # it does not arrive; it does, and nobody is there to hear so
            faults.arm(fault)
            worker = Worker(settings)
            workers.callback(worker.process.kill)
            assert faults.struck.wait(PATIENCE_S), fault
            worker.kill()
        faults.let_go.set()  # what did not arrive does so after all, when it has been sent again
        worker = Worker(settings)
        workers.callback(worker.process.kill)
        shown = short(champion)
        wait_until(lambda: loop.gateway.project(loop.project_id).model_version == shown, what="the new version")
        over.set()
        given = ANSWERED + len(at_work.result())
        wait_until(lambda: loop.states()["answered"] == given, what="every answer")
        # Or one more: what the old version chose and the new one finds less useful gives up its place, and stays.
        wait_until(lambda: loop.states()["in_review"] >= min(OPEN, TOTAL - given), what="the window full again")
        worker.end()
    loop.push()
    assert sum(loop.states().values()) == TOTAL
    assert set(loop.tasks_an_output()) == {1}
    # Not its own count of them: an import of predictions sets it back to what it was a moment before.
    assert sum(len(task["annotations"]) for task in loop.tasks()) == given
    assert all(shown in versions(task) for task in loop.tasks() if not task["is_labeled"])
    assert agreement(work(loop, people[2:], label=truth), priorities(loop)) >= EXACT
