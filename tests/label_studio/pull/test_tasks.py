"""Tasks that were edited, deleted or imported late, on the real Label Studio."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from labelloop.errors import Failed
from labelloop.queue.batches import BatchState
from labelloop.store.database import Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import batches
from sync.pull.take_in import TAMPERED
from sync.push.batches import PushReport, put_back
from tests.support.hops.pulled import answers, feedback
from tests.support.network.faultproxy import proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def test_a_task_whose_key_was_edited_is_distrusted_not_lost(loop: SyncLoop) -> None:
    loop.submit(2)
    loop.push()
    mine, other = loop.tasks()
    data = {**mine["data"], "labelloop_output": other["data"]["labelloop_output"]}
    loop.web.patch(f"/api/tasks/{mine['id']}/", json={"data": data}).raise_for_status()
    loop.annotate(mine["id"], "dog")
    loop.pull()
    [row] = loop.sql("select distrusted, output_id from annotation_versions")
    assert row["distrusted"] == TAMPERED
    assert str(row["output_id"]) == mine["data"]["labelloop_output"]
    assert feedback(loop) == []

    loop.web.patch(f"/api/tasks/{mine['id']}/", json={"data": mine["data"]}).raise_for_status()
    loop.pull()
    assert [row["label"] for row in feedback(loop)] == ["dog"]


def test_a_deleted_task_withdraws_its_answer_and_frees_its_place(loop: SyncLoop) -> None:
    loop.submit(2)
    loop.push()
    first, _ = loop.tasks()
    loop.annotate(first["id"], "dog")
    loop.pull()
    loop.web.delete(f"/api/tasks/{first['id']}/").raise_for_status()
    loop.pull()
    assert loop.states() == {"answered": 1, "in_review": 1}, "no change of a task tells of a deletion"
    report = loop.pull(full=True)
    assert report.withdrawn == 1
    assert loop.states() == {"withdrawn": 1, "in_review": 1}
    assert feedback(loop) == []
    assert answers(loop)[-1] == (None, None, 0)


def test_when_many_tasks_vanish_at_once_nothing_is_concluded(loop: SyncLoop) -> None:
    loop.submit(25)
    loop.push()
    loop.web.delete(f"/api/projects/{loop.project_id}/tasks/").raise_for_status()
    with pytest.raises(Failed, match=r"25 of the 25 tasks .* pull --full --confirm-deletions --loop pets"):
        loop.pull(full=True)
    assert loop.states() == {"in_review": 25}


def test_a_deletion_of_many_tasks_counts_once_a_person_confirms_it(loop: SyncLoop) -> None:
    """Each deletion rang, and none of the rings keeps a pull from its other work."""
    loop.submit(30)
    loop.push()
    first, *others = (task["id"] for task in loop.tasks())
    selected = {"selectedItems": {"all": True, "excluded": [first]}}
    loop.web.post(f"/api/dm/actions/?id=delete_tasks&project={loop.project_id}", json=selected).raise_for_status()
    loop.annotate(first, "dog")
    with loop.database.transaction() as conn:
        annotation_store.record_doorbell(conn, loop.spec.name, [first, *others])
    assert loop.pull().answers == 1
    assert rung(loop) == []
    assert loop.states() == {"in_review": 29, "answered": 1}

    loop.submit(1)
    assert loop.pull(full=True, confirm_deletions=True).withdrawn == 29
    assert loop.push() == PushReport(pushed=1)
    assert loop.states() == {"withdrawn": 29, "answered": 1, "in_review": 1}
    assert loop.pull(full=True).withdrawn == 0


@pytest.mark.alone
def test_without_its_project_nothing_is_concluded(loop: SyncLoop) -> None:
    loop.submit(2)
    loop.push()
    loop.web.delete(f"/api/projects/{loop.project_id}/").raise_for_status()
    with pytest.raises(Failed, match="is gone from Label Studio"):
        loop.pull(full=True)
    assert loop.states() == {"in_review": 2}


def test_a_late_import_is_adopted_and_of_two_tasks_the_answered_one_stays(
    database: Database, label_studio: LabelStudio
) -> None:
    with (
        proxy(label_studio.url) as faults,
        sync_loop(database, label_studio.url, label_studio.token, through=faults.url) as loop,
    ):
        loop.push()
        give_up_an_import(loop, faults)
        assert loop.states() == {"waiting": 2}
        assert loop.pull().adopted == 2
        assert loop.push() == PushReport(renewed=2), "what it shows is ours again, in our order"
        assert loop.push() == PushReport()

        give_up_an_import(loop, faults)
        loop.push()
        assert sorted(loop.tasks_an_output()) == [1, 1, 2, 2]
        late = min(task["id"] for task in loop.tasks()[2:])
        early = loop.tasks()[0]["id"]
        drafted = max(task["id"] for task in loop.tasks())
        loop.annotate(late, "eel")
        loop.annotate(early, "dog")
        loop.web.post(f"/api/tasks/{drafted}/drafts?project={loop.project_id}", json={"result": []}).raise_for_status()
        # Ours are the later ones. One output is answered on the task that is not ours; of the other, ours is begun.
        report = loop.pull(full=True)
        assert report.duplicates == 2
        assert {late, early, drafted} <= {task["id"] for task in loop.tasks()}
        assert loop.tasks_an_output() == [1] * 4
        assert sorted(row["label"] for row in feedback(loop)) == ["dog", "eel"]
        assert loop.states() == {"answered": 2, "in_review": 2}
        assert loop.pull(full=True).duplicates == 0


def give_up_an_import(loop: SyncLoop, faults: Any) -> None:
    """Two outputs are imported; we never hear of it, and put them back as after the grace."""
    loop.submit(2)
    faults.arm("drop reply")
    with pytest.raises(Exception, match="is lost"):
        loop.push()
    with loop.database.transaction() as conn:
        [batch] = batches.open_(conn, loop.spec.name)
        put_back(conn, batch.id, BatchState.SENDING, BatchState.ABANDONED, "the grace is over")


def rung(loop: SyncLoop) -> list[int]:
    return [row["task_id"] for row in loop.sql("select * from pull_requests where loop = %(l)s", l=loop.spec.name)]
