"""Requests of sync to Label Studio while people work: few, and enough to miss nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.support.counting import counted
from labelloop.store.database import Database
from sync.pull.pull import LATE_EVERY_S, MARGIN, Memory
from sync.push.batches import PushReport
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

LOOK, PROJECT = "GET /api/tasks/", "GET /api/projects/N/"


@pytest.fixture
def asked() -> Counter[str]:
    """Requests of ours to Label Studio, by method and path; a test clears it where it begins to count."""
    return Counter()


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio, asked: Counter[str]) -> Iterator[SyncLoop]:
    with (
        counted(label_studio.url, asked) as through,
        sync_loop(database, label_studio.url, label_studio.token, through=through) as loop,
    ):
        yield loop


def test_one_look_serves_many_answers_and_reads_none_of_them_twice(loop: SyncLoop, asked: Counter[str]) -> None:
    memory = Memory()
    loop.submit(6)
    loop.push()
    loop.pull(memory=memory)
    ids = [task["id"] for task in loop.tasks()]
    first = [loop.annotate(id_, "dog") for id_ in ids[:4]]
    loop.pull(memory=memory)
    asked.clear()

    loop.annotate(ids[4], "cat")
    loop.edit(first[0], "eel")
    loop.web.delete(f"/api/annotations/{first[1]}/").raise_for_status()
    report = loop.pull(memory=memory)
    assert (report.outputs, report.answers) == (3, 3)
    assert loop.states() == {"answered": 4, "in_review": 2}
    assert asked == {LOOK: 1}

    assert [loop.pull(memory=memory).tasks for _ in range(3)] == [0, 0, 0]
    assert asked == {LOOK: 4}


def test_a_change_that_was_committed_late_is_found_within_a_minute(loop: SyncLoop, asked: Counter[str]) -> None:
    """It stands behind what the worker has seen, as if Label Studio had stopped between the clock and the commit."""
    memory = Memory()
    loop.submit(2)
    loop.push()
    loop.annotate(loop.tasks()[0]["id"], "dog")
    loop.pull(memory=memory)
    loop.annotate(loop.tasks()[1]["id"], "dog")
    memory.since = datetime.now(UTC) + timedelta(seconds=1)
    assert loop.pull(memory=memory).outputs == 0
    asked.clear()

    memory.late_at = time.monotonic() - LATE_EVERY_S
    assert loop.pull(memory=memory).outputs == 1
    assert loop.states() == {"answered": 2}
    assert asked == {LOOK: 2}, "the changes, and the one task that is news"

    # After a minute without news nothing can come late any more.
    memory.changed_at = time.monotonic() - MARGIN.total_seconds() - 1
    memory.late_at = 0.0
    assert loop.pull(memory=memory).outputs == 0
    assert memory.changed_at == 0.0
    bookmark = loop.project.bookmark
    assert bookmark == max(memory.seen.values())


def test_a_worker_without_memory_reads_on_from_the_bookmark(loop: SyncLoop) -> None:
    """A worker that was killed after its quick looks: the next one finds what came since the bookmark."""
    memory = Memory()
    loop.submit(3)
    loop.push()
    loop.pull(memory=memory)
    first, second, third = (task["id"] for task in loop.tasks())
    loop.annotate(first, "dog")
    loop.pull(memory=memory)
    loop.annotate(second, "cat")
    assert loop.pull(memory=Memory()).outputs == 1
    loop.annotate(third, "cat")
    assert loop.pull(memory=memory).answers == 1
    assert loop.states() == {"answered": 3}
    assert len(loop.sql("select * from answers")) == 3


def test_the_project_is_looked_at_when_it_is_written_to_and_not_with_every_push(
    loop: SyncLoop, asked: Counter[str]
) -> None:
    loop.submit(3)
    loop.push()
    asked.clear()
    assert loop.push(check=False) == PushReport()
    assert asked == {}

    loop.web.patch(f"/api/projects/{loop.project_id}/", json={"sampling": "Sequential sampling"}).raise_for_status()
    loop.submit(1)
    assert loop.push(check=False) == PushReport(pushed=1)
    assert loop.gateway.project(loop.project_id).sampling == "Uncertainty sampling"
    assert asked[PROJECT] == 1 + 1, "once by the push, once by this test"


def test_the_window_is_filled_in_batches_while_people_answer(loop: SyncLoop, asked: Counter[str]) -> None:
    queue = loop.spec.queue.model_copy(update={"window": 6, "diversity": 0.0})
    loop.spec = loop.spec.model_copy(update={"queue": queue})
    loop.submit(12)
    loop.push()
    for answered, task in enumerate(loop.tasks()[:2], 1):
        loop.annotate(task["id"], "dog")
        loop.pull()
        asked.clear()
        pushed = loop.push(check=False, at_least=2).pushed
        assert pushed == (0 if answered == 1 else 2)
        assert loop.states()["in_review"] == (5 if answered == 1 else 6)
        assert asked["POST /api/projects/N/import"] == (0 if answered == 1 else 1)
