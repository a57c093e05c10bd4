"""Webhooks that are doubled, late, out of order or forged, and a killed pull: what Label Studio has is stored."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from labelloop.errors import Unreachable
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.tasks import Task
from labelloop.store.database import Database
from labelloop.store.tables import projects
from sync.project.project import HOOK_HEADER, hook_path
from sync.pull import doorbell
from sync.pull import pull as pulling
from sync.pull.pull import Memory
from tests.support.hops.pulled import feedback
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until
from tests.support.workers.sync_worker import HOLD, LOCK, Worker, held

SECRET = "of-the-hook"
SHORT = 2
"""Tasks on a page."""


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        loop.settings = replace(loop.settings, hook_secret=SECRET, heartbeat_s=0.4, pull_every_s=0.5)
        yield loop


def bell(loop: SyncLoop) -> FlaskClient:
    app = Flask(__name__)
    app.register_blueprint(doorbell.blueprint(loop.settings, loop.database))
    return app.test_client()


def ring(client: FlaskClient, loop: SyncLoop, action: str, secret: str = SECRET) -> int:
    body = {"action": action, "project": {"id": loop.project_id}}
    return client.post(hook_path("pets"), headers={HOOK_HEADER: secret}, json=body).status_code


def test_rings_that_are_doubled_late_shuffled_or_forged_end_in_what_label_studio_has(loop: SyncLoop) -> None:
    loop.submit(6)
    loop.push()
    kept, edited, deleted, gone, late, _ = (task["id"] for task in loop.tasks())
    client, memory, draw = bell(loop), Memory(), random.Random(23)
    rings = ["TASKS_DELETED"] * 3  # forged: no task is gone yet
    loop.annotate(kept, "cat")
    rings += ["ANNOTATION_CREATED"]
    one, other = loop.annotate(edited, "cat"), loop.annotate(deleted, "eel")
    loop.pull(memory=memory)
    loop.edit(one, "dog")
    loop.web.delete(f"/api/annotations/{other}/").raise_for_status()
    loop.web.delete(f"/api/tasks/{gone}/").raise_for_status()
    rings += ["ANNOTATION_UPDATED", "ANNOTATIONS_DELETED", "TASKS_DELETED", "PROJECT_UPDATED", "of no such action"]
    rings *= 2
    draw.shuffle(rings)
    for place, action in enumerate(rings):
        assert ring(client, loop, action) == 204
        assert ring(client, loop, action, "forged") == 401
        if place % 3 == 0:
            loop.pull(memory=memory)
        if place == len(rings) // 2:
            loop.annotate(late, "eel")
    loop.pull(memory=memory)
    assert loop.states() == {"answered": 3, "in_review": 2, "withdrawn": 1}
    assert sorted(row["label"] for row in feedback(loop)) == ["cat", "dog", "eel"]
    assert loop.sql("select * from pull_requests") == []


def test_the_doorbell_waits_for_no_push_and_no_pull(loop: SyncLoop) -> None:
    """Label Studio waits for it in the request of an annotator."""
    loop.submit(2)
    loop.push()
    client = bell(loop)
    with loop.database.transaction() as conn:
        for hop in ("answers", "push"):
            projects.lock_hop(conn, "pets", hop)
        conn.execute("select from tasks for update")
        conn.execute("select from projects for no key update")
        assert [ring(client, loop, action) for action in ("ANNOTATION_CREATED", "TASKS_DELETED")] == [204, 204]


class Cut(Gateway):
    """Label Studio has shorter pages, and goes away after some of them."""

    pages = 1

    def changed_tasks(self, *given: object) -> list[Task]:
        self.pages -= 1
        if self.pages < 0:
            raise Unreachable("it went away")
        return super().changed_tasks(*given)[:SHORT]  # type: ignore[arg-type]


def test_a_pull_that_is_killed_in_a_page_or_between_two_reads_on_without_a_gap(
    loop: SyncLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop.do(HOLD)
    loop.submit(5)
    loop.push()
    for task in loop.tasks():
        loop.annotate(task["id"], "cat")
    stuck = "select 1 from pg_locks where locktype = 'advisory' and objid = %(lock)s and not granted"
    worker = Worker(loop.settings)
    try:
        with held(loop, "insert", "annotation_versions"):
            wait_until(lambda: loop.sql(stuck, lock=LOCK), what="a page that is being stored")
            worker.kill()
    finally:
        worker.process.kill()
    assert loop.states() == {"in_review": 5}, "nothing of the page is stored"

    monkeypatch.setattr(pulling, "PAGE", SHORT)
    whole, loop.gateway = loop.gateway, Cut(loop.gateway.url, loop.settings.label_studio_token)
    with pytest.raises(Unreachable):
        loop.pull()
    assert loop.states() == {"answered": 2, "in_review": 3}, "the first page is stored, and the bookmark stays"
    loop.gateway.close()
    loop.gateway = whole
    assert loop.pull().answers == 3
    assert loop.sql("select count(*) as n, count(distinct annotation_id) as d from annotation_versions") == [
        {"n": 5, "d": 5}
    ]
