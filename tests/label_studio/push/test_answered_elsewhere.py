"""A task that was answered over HTTP is not served any more, and stays in the project with its annotations."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labelloop.store.database import Database
from sync.answering import feedback
from sync.answering.feedback import Given
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def give(loop: SyncLoop, key: str, who: str, correction: str | None = None) -> None:
    with loop.database.transaction() as conn:
        feedback.store(conn, loop.spec, Given(None, key, who, correction is None, correction, None))


def test_a_task_that_was_answered_over_http_is_not_served_any_more(loop: SyncLoop) -> None:
    first, second = loop.submit(2)
    loop.push()
    served = loop.next_task()
    assert served is not None
    key = served["data"]["labelloop_key"]
    other = second if key == first else first
    give(loop, key, "anna")
    loop.push()
    loop.push()
    assert loop.next_task()["data"]["labelloop_key"] == other  # type: ignore[index]
    assert loop.task_of(key)["is_labeled"] is True
    assert loop.pull(full=True).withdrawn == 0
    assert loop.states() == {"answered": 1, "in_review": 1}
    give(loop, other, "anna", "dog")
    loop.push()
    assert loop.next_task() is None
    assert loop.states() == {"answered": 2}


def test_a_task_is_served_again_if_its_answer_was_taken_back(database: Database, label_studio: LabelStudio) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, overlap=2) as loop:
        (key,) = loop.submit(1)
        loop.push()
        task = loop.task_of(key)
        annotation = loop.annotate(task["id"], "cat")
        give(loop, key, "anna")
        loop.pull()
        loop.push()
        assert loop.states() == {"answered": 1}
        assert loop.task_of(key)["is_labeled"] is True
        loop.web.delete(f"/api/annotations/{annotation}/").raise_for_status()
        loop.pull()
        assert loop.states() == {"in_review": 1}
        loop.push()
        assert loop.task_of(key)["is_labeled"] is False
        assert loop.next_task() is not None
