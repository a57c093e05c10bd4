"""Predictions on open tasks after a promotion, on the real Label Studio and the real Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from labelloop.errors import Ambiguous
from labelloop.store.database import Database
from sync.push import prelabel
from sync.push.batches import PushReport
from tests.support.hops.promoting import CHAMPION, promote, say
from tests.support.network.faultproxy import Proxy, proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop


@pytest.fixture
def faults(label_studio: LabelStudio) -> Iterator[Proxy]:
    with proxy(label_studio.url) as server:
        yield server


@pytest.fixture
def loop(faults: Proxy, database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token, through=faults.url) as loop:
        queue = loop.spec.queue.model_copy(update={"window": 4, "diversity": 0.0})
        loop.spec = loop.spec.model_copy(update={"queue": queue})
        yield loop


def test_after_a_promotion_open_tasks_show_the_champion_in_its_order(loop: SyncLoop, faults: Proxy) -> None:
    a, b, c, d, e, f = loop.submit(6)
    loop.push()  # the least confident four: f, e, d, c
    assert loop.project.model_version == "pipeline"

    promote(loop)
    say(loop, {f: 0.1, e: 0.9})
    loop.push()
    assert loop.project.model_version == "pipeline", "two open tasks have no word of the champion yet"

    say(loop, {a: 0.8, b: 0.2, c: 0.3, d: 0.7})
    faults.arm("drop reply")
    with pytest.raises(Ambiguous):
        loop.push()
    loop.push()
    assert loop.push() == PushReport()

    assert loop.project.model_version == loop.gateway.project(loop.project_id).model_version == CHAMPION[:12]
    tasks = {task["data"]["labelloop_key"]: task for task in loop.tasks()}
    assert set(tasks) == {c, d, e, f}, "nothing is taken out, so the better one waits for a place"
    for key in (c, d, e, f):
        said = Counter(prediction["model_version"] for prediction in tasks[key]["predictions"])
        assert said == {"pipeline": 1, CHAMPION[:12]: 1}
    served = []
    while (task := loop.next_task()) is not None:
        served.append(task["data"]["labelloop_key"])
        assert task["predictions"][0]["result"][0]["value"]["choices"] == ["dog"]
        loop.annotate(task["id"], "dog")
        loop.pull()
        loop.push()
    assert served == [e, a, d, c, b, f], "the first answer made room for it, and it was served next"


def test_a_prediction_that_is_there_from_elsewhere_gets_our_score_and_label_and_keeps_its_id(loop: SyncLoop) -> None:
    """From when the champion served before, or because somebody has pressed "Retrieve predictions"."""
    a, b, c, d = loop.submit(4)
    loop.push()
    there = {}
    for key, score in zip((a, b, c, d), (0.1, 0.2, 0.3, 0.4), strict=True):
        made = {"task": loop.task_of(key)["id"], "model_version": CHAMPION[:12], "score": score, "result": []}
        there[key] = loop.web.post("/api/predictions/", json=made).raise_for_status().json()["id"]
    promote(loop)
    say(loop, {a: 0.1, b: 0.9, c: 0.3, d: 0.7})
    assert loop.push() == PushReport(renewed=4)
    assert loop.push() == PushReport()
    served = []
    while (task := loop.next_task()) is not None:
        [shown] = task["predictions"]
        served.append(task["data"]["labelloop_key"])
        assert shown["id"] == there[served[-1]]
        assert shown["result"][0]["value"]["choices"] == ["dog"]
        loop.annotate(task["id"], "dog")
    assert served == [b, d, c, a]


def test_the_window_stays_as_large_as_the_loop_says_through_promotions_and_answers(loop: SyncLoop) -> None:
    """Each version finds those useful that no version before it did, and an answer makes room for the best of them."""
    keys = loop.submit(20)
    loop.push()
    for epoch in range(1, 5):
        promote(loop, version_id := str(epoch) * 64, epoch)
        useful = {key: (i % 5 == epoch) * 0.5 + i / 100 for i, key in enumerate(keys)}
        say(loop, useful, version_id)
        loop.push()
        assert loop.project.model_version == version_id[:12]
        assert loop.states()["in_review"] == 4

        waiting = [row["key"] for row in loop.sql("select key from outputs where state = 'waiting'")]
        before = {task["id"] for task in loop.tasks()}
        task = loop.next_task()
        assert task is not None
        loop.annotate(task["id"], "dog")
        loop.pull()
        loop.push()
        assert loop.states() == {"in_review": 4, "answered": epoch, "waiting": 16 - epoch}
        [new] = [task["data"]["labelloop_key"] for task in loop.tasks() if task["id"] not in before]
        assert new == max(waiting, key=lambda key: useful[key])


def test_no_two_tasks_get_one_place_while_predictions_are_on_their_way(loop: SyncLoop, faults: Proxy) -> None:
    """Both pairs are equally useful, and the places of the first pair are known only when its import has arrived."""
    loop.submit(2)
    loop.push()
    promote(loop)
    say(loop, {row["key"]: 0.5 for row in loop.sql("select key from outputs")})
    faults.strikes = "/import/predictions"
    faults.arm("hold request")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(loop.push, push_grace_s=300.0)
        assert faults.struck.wait(60)
        say(loop, dict.fromkeys(loop.submit(2), 0.5))
        for _ in range(2):
            loop.push(push_grace_s=300.0)
        faults.let_go.set()
        first.result(120)
    loop.push()
    rows = loop.sql("select priority, shown_version from tasks")
    assert {row["shown_version"] for row in rows} == {CHAMPION[:12]}
    assert len({row["priority"] for row in rows}) == 4


def test_two_pushes_at_the_same_time_add_one_prediction(loop: SyncLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by hand or of an adoption, and one of the worker."""
    loop.submit(4)
    loop.push()
    promote(loop)
    say(loop, {row["key"]: 0.5 for row in loop.sql("select key from outputs")})
    both, record, calls = Barrier(2), prelabel._Renewal.record, list[object]()

    def recorded(*what: object) -> None:
        calls.append(what)
        if len(calls) <= 2:  # the push that comes second may look once more
            both.wait(60)  # each has read that the tasks lack a prediction, and neither has sent one
        record(*what)  # type: ignore[arg-type]

    monkeypatch.setattr(prelabel._Renewal, "record", recorded)
    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(loop.push) for _ in range(2)]:
            one.result(120)
    for task in loop.tasks():
        said = Counter(prediction["model_version"] for prediction in task["predictions"])
        assert said == {"pipeline": 1, CHAMPION[:12]: 1}
