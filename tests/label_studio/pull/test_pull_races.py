"""Two pulls, or a pull and a push, at the same time; and answers that were withdrawn and come back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from labelloop.answers.annotations import Annotation
from labelloop.errors import Ambiguous, Failed
from labelloop.queue.tasks import KnownOutput, Task
from labelloop.reading.ids import AnnotationId, TaskId, UserId
from labelloop.store.database import Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import projects
from sync.pull.take_in import Pull, PullReport
from sync.push.batches import PushReport
from sync.push.claims import Claim, Claims
from tests.support.network.faultproxy import proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
FIRST = Annotation(
    AnnotationId(7), TaskId(3), [{"value": "cat"}], UserId(1), UserId(1), False, False, 1.5, None, NOON, NOON
)


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def pull_of(loop: SyncLoop) -> Pull:
    return Pull(loop.database, loop.gateway, loop.spec, loop.project)


def test_a_page_that_was_read_before_an_answer_does_not_bury_it(loop: SyncLoop) -> None:
    loop.submit(2)
    loop.push()
    first, _ = loop.tasks()
    stale = loop.gateway.changed_tasks(loop.project_id, None)
    answer = loop.annotate(first["id"], "cat")
    loop.pull()
    assert pull_of(loop).take_in(stale).outputs == 0
    assert loop.states() == {"answered": 1, "in_review": 1}

    stale = loop.gateway.changed_tasks(loop.project_id, None)
    loop.edit(answer, "dog")
    loop.pull()
    assert pull_of(loop).take_in(stale).outputs == 0
    assert [row["label"] for row in loop.sql("select label from feedback")] == ["dog"]


def test_a_signature_that_is_put_right_again_counts_again(loop: SyncLoop) -> None:
    loop.submit(1)
    loop.push()
    [task] = loop.tasks()
    loop.annotate(task["id"], "cat")
    loop.pull()
    for signature, state in (("x", "in_review"), (task["data"]["labelloop_sig"], "answered")) * 2:
        data = {**task["data"], "labelloop_sig": signature}
        loop.web.patch(f"/api/tasks/{task['id']}/", json={"data": data}).raise_for_status()
        loop.pull()
        assert loop.states() == {state: 1}
    loop.pull(full=True)
    assert loop.sql("select count(*) as n from annotation_versions") == [{"n": 5}]


def test_a_task_that_is_seen_again_after_it_was_withdrawn_brings_its_answer_back(loop: SyncLoop) -> None:
    loop.submit(1)
    loop.push()
    loop.annotate(loop.tasks()[0]["id"], "dog")
    loop.pull()
    for _ in range(2):
        with loop.database.transaction() as conn:
            projects.lock_hop(conn, loop.spec.name, "answers")
            pull_of(loop).withdraw(conn, [row["id"] for row in loop.sql("select id from outputs")])
        assert loop.states() == {"withdrawn": 1}
        assert loop.pull(full=True).adopted == 1
        assert loop.states() == {"answered": 1}
        assert [row["label"] for row in loop.sql("select label from feedback")] == ["dog"]


def test_the_annotation_that_was_seen_last_is_the_one_that_stands(database: Database) -> None:
    other, nameless = replace(FIRST, result=[]), replace(FIRST, completed_by=None, updated_by=None)
    instance = uuid4()

    def standing(seen: Annotation | None) -> list[tuple[Any, Any]]:
        with database.transaction() as conn:
            for _ in range(2):  # the second call changes nothing
                if seen is None:
                    annotation_store.write_tombstones(
                        conn, instance, {TaskId(3): NOON + timedelta(milliseconds=30)}, []
                    )
                else:
                    annotation_store.add(conn, instance, [(seen, None, None)])
            rows = conn.execute("select result, completed_by from annotations").fetchall()
        return [(row["result"], row["completed_by"]) for row in rows]

    for seen in (FIRST, other, FIRST, None, FIRST, None, nameless):
        assert standing(seen) == ([] if seen is None else [(seen.result, 1)])
    assert standing(replace(other, updated_at=NOON - timedelta(seconds=1))) == [(FIRST.result, 1)]
    with database.transaction() as conn:
        assert conn.execute("select count(*) as n from annotation_versions").fetchone() == {"n": 7}


class Paused(Pull):
    """A pull that has read the outputs' states when a push claims the waiting ones."""

    paused = True

    def _adopt_stray(self, conn: Any, task: Task, output: KnownOutput | None) -> bool:
        if self.paused:
            self.paused = False
            Claims(self.database, self.spec, lambda: None).next()
        return super()._adopt_stray(conn, task, output)


def test_what_a_push_has_just_claimed_is_not_adopted_by_a_pull(loop: SyncLoop) -> None:
    late = give_up(loop)
    assert Paused(loop.database, loop.gateway, loop.spec, loop.project).take_in(late).adopted == 0
    assert loop.states() == {"pushing": 3}
    assert loop.sql("select * from tasks") == []
    loop.push()
    loop.pull(full=True)
    assert loop.states() == {"in_review": 3}
    assert loop.tasks_an_output() == [1] * 3


def test_what_a_pull_is_just_adopting_is_not_claimed_by_a_push(loop: SyncLoop) -> None:
    late = give_up(loop)
    claimed: list[Claim | None] = []
    push = threading.Thread(target=lambda: claimed.append(Claims(loop.database, loop.spec, lambda: None).next()))

    class Slow(Pull):
        def _adopt_stray(self, conn: Any, task: Task, output: KnownOutput | None) -> bool:
            adopted = super()._adopt_stray(conn, task, output)
            if task is late[0]:
                push.start()
                push.join(0.3)
            return adopted

    assert Slow(loop.database, loop.gateway, loop.spec, loop.project).take_in(late).adopted == 3
    push.join()
    assert claimed == [None]
    assert loop.push() == PushReport(renewed=3), "what they show is ours again, in our order"
    assert loop.push() == PushReport()
    assert loop.states() == {"in_review": 3}


@contextmanager
def unheard(database: Database, label_studio: LabelStudio, n: int) -> Iterator[SyncLoop]:
    """A loop with `n` outputs that Label Studio has imported and serves, and the answer to the import is lost."""
    with (
        proxy(label_studio.url) as faults,
        sync_loop(database, label_studio.url, label_studio.token, through=faults.url) as loop,
    ):
        loop.push()
        loop.submit(n)
        faults.arm("drop reply")
        with pytest.raises(Ambiguous):
            loop.push()
        yield loop


def test_an_answer_that_is_pulled_before_its_task_is_adopted_counts(
    database: Database, label_studio: LabelStudio
) -> None:
    with unheard(database, label_studio, 2) as loop:
        loop.annotate(loop.tasks()[0]["id"], "cat")
        assert loop.pull().answers == 1
        assert loop.states() == {"pushing": 2}
        assert loop.push() == PushReport(adopted=2)
        assert loop.states() == {"answered": 1, "in_review": 1}


def test_a_task_is_adopted_after_the_answer_that_a_pull_is_writing_down(
    database: Database, label_studio: LabelStudio
) -> None:
    with unheard(database, label_studio, 1) as loop:
        loop.annotate(loop.tasks()[0]["id"], "cat")
        push = threading.Thread(target=loop.push)

        class Slow(Pull):
            def _store(self, *args: Any) -> PullReport:
                report = super()._store(*args)
                push.start()
                push.join(1.5)
                return report

        read = loop.gateway.changed_tasks(loop.project_id, None)
        Slow(loop.database, loop.gateway, loop.spec, loop.project).take_in(read)
        push.join()
        assert loop.states() == {"answered": 1}


def test_a_batch_that_cannot_be_settled_does_not_hold_up_the_others(
    database: Database, label_studio: LabelStudio
) -> None:
    with (
        proxy(label_studio.url) as faults,
        sync_loop(database, label_studio.url, label_studio.token, through=faults.url) as loop,
    ):
        loop.push()
        for n in (1, 2):
            loop.submit(n)
            faults.arm("drop reply")
            with pytest.raises(Ambiguous):
                loop.push()
            if n == 1:
                [bad] = loop.sql("select output_id from batch_items")
                loop.do(f"alter table tasks add constraint bad check (output_id <> '{bad['output_id']}')")
        assert loop.push() == PushReport(adopted=2, unclear=1)
        loop.submit(1)
        assert loop.push() == PushReport(pushed=1, unclear=1)


def test_a_label_studio_that_was_set_up_anew_is_neither_believed_nor_filled(loop: SyncLoop) -> None:
    loop.submit(3)
    loop.push()
    loop.annotate(loop.tasks()[0]["id"], "cat")
    loop.pull()
    ours = loop.project_id
    made = loop.web.post("/api/projects/", json={"title": "a stranger's", "label_config": loop.spec.labels_xml})
    theirs = made.raise_for_status().json()["id"]
    loop.do(f"update projects set project_id = {theirs}")
    loop.submit(2)
    try:
        for look in (lambda: loop.pull(full=True), loop.pull, loop.push, partial(loop.push, check=False)):
            with pytest.raises(Failed, match="does not have the mark"):
                look()
        assert loop.tasks() == []
    finally:
        loop.do(f"update projects set project_id = {ours}")
    assert loop.states() == {"answered": 1, "in_review": 2, "waiting": 2}
    assert loop.push() == PushReport(pushed=2)


def give_up(loop: SyncLoop) -> list[Task]:
    """Three tasks stand in Label Studio whose import we have given up; returns them as a pull reads them."""
    loop.submit(3)
    loop.push()
    loop.do("delete from tasks")
    loop.do("update outputs set state = 'waiting', batch_id = null")
    loop.do(
        "insert into pool (output_id, loop, lane, utility, key, label, confidence, champion, ranker)"
        " select id, loop, lane, 0.5, key, label, confidence, 'pipeline', 'pipeline' from outputs"
    )
    return loop.gateway.changed_tasks(loop.project_id, None)
