"""Callbacks from a click in the real Label Studio to a receiver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from labelloop.store.callbacks import registered
from labelloop.store.database import Database
from tests.support.hops.callbacks import EVERYTHING, send
from tests.support.network.receiver import receiver
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def test_an_answer_an_edit_and_a_deletion_in_label_studio_are_each_told_once(loop: SyncLoop) -> None:
    with receiver() as there:
        with loop.database.transaction() as conn:
            _, secret = registered.add(conn, "pets", there.url("/200"), EVERYTHING, "ada")
        (key,) = loop.submit(1)
        loop.push()
        task = loop.task_of(key)["id"]
        annotation = loop.annotate(task, "dog")
        for label in (None, "eel"):
            if label is not None:
                loop.edit(annotation, label)
            for _ in range(2):
                loop.pull()
                send(loop.database)
        loop.web.delete(f"/api/annotations/{annotation}/").raise_for_status()
        for _ in range(2):
            loop.pull(full=True)
            send(loop.database)
        events = [one.verified(secret) for one in there.arrived]
        answers = [(e["type"], e["data"]["label"]) for e in events if e["type"] != "task.completed"]
        assert answers == [("output.answered", "dog"), ("answer.changed", "eel"), ("answer.changed", None)]
        (done,) = [event["data"] for event in events if event["type"] == "task.completed"]
        assert (done["key"], done["task"], done["project"], done["annotators"]) == (key, task, loop.project_id, 1)
