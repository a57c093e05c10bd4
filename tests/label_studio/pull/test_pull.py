"""Pull and resolve, on the real Label Studio and the real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.serving import make_server

from labelloop.errors import Failed
from labelloop.process.settings import Settings
from labelloop.queue.batches import BatchState
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.questions import people
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import batches, jobs, loops
from sync.project.project import ensure_project, hook_path
from sync.pull import doorbell
from sync.pull.take_in import TAMPERED
from sync.push.batches import PushReport, put_back
from tests.support.network.faultproxy import proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, YAML, SyncLoop, sync_loop, wait_until

SECRET = "of-the-hook"


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def feedback(loop: SyncLoop) -> list[dict[str, Any]]:
    return loop.sql(
        """
        select o.label as model_label, f.label, f.approval, f.correction, f.lead_time_s, r.email
        from feedback f join outputs o on o.id = f.model_output_id join reviewers r on r.id = f.reviewer_id
        where o.loop = %(loop)s order by o.confidence, r.email
        """,
        loop=loop.spec.name,
    )


def answers(loop: SyncLoop) -> list[tuple[Any, ...]]:
    rows = loop.sql("select label, agreement, reviewers from answers where loop = %(l)s order by seq", l=loop.spec.name)
    return [tuple(row.values()) for row in rows]


def test_edits_skips_and_deletions_arrive_and_what_was_said_before_is_kept(loop: SyncLoop) -> None:
    loop.submit(3)
    loop.push()
    first, second, third = (task["id"] for task in loop.tasks())
    edited = loop.annotate(first, "cat")
    deleted = loop.annotate(second, "dog")
    loop.annotate(third, "eel", skip=True)
    loop.pull()
    assert loop.states() == {"answered": 2, "in_review": 1}
    assert [(row["label"], row["approval"], row["correction"]) for row in feedback(loop)] == [
        ("cat", True, None),
        ("dog", False, "dog"),
    ]

    loop.edit(edited, "eel")
    loop.web.delete(f"/api/annotations/{deleted}/").raise_for_status()
    loop.pull()
    assert [(row["label"], row["approval"]) for row in feedback(loop)] == [("eel", False)]
    assert loop.states() == {"answered": 1, "in_review": 2}
    assert sorted(answers(loop)[:2]) == [("cat", 1.0, 1), ("dog", 1.0, 1)]
    assert set(answers(loop)[2:]) == {("eel", 1.0, 1), (None, None, 0)}

    versions = "select count(*) as n, count(*) filter (where deleted) as dead from annotation_versions"
    assert loop.sql(versions) == [{"n": 5, "dead": 1}]
    loop.pull()
    loop.pull(full=True)
    assert loop.sql(versions) == [{"n": 5, "dead": 1}]
    assert len(answers(loop)) == 4


def test_with_the_webhook_switched_off_the_same_rows_arrive(database: Database, label_studio: LabelStudio) -> None:
    with (
        sync_loop(database, label_studio.url, label_studio.token, name="pets") as off,
        sync_loop(database, label_studio.url, label_studio.token, name="pets-hook") as on,
        doorbell_server(on) as url,
    ):
        ensure_project(database, on.gateway, on.spec, replace(on.settings, sync_url=url, hook_secret=SECRET))
        for loop in (off, on):
            loop.submit(4)
            loop.push()
            ids = [task["id"] for task in sorted(loop.tasks(), key=lambda task: task["id"])]
            edited = loop.annotate(ids[0], "cat")
            gone = loop.annotate(ids[1], "cat")
            loop.annotate(ids[2], "dog")
            if loop is on:
                wait_until(lambda: asked(on), what="a ring")
                on.pull()
                on.do("delete from procrastinate_jobs")
            loop.edit(edited, "eel")
            loop.web.delete(f"/api/annotations/{gone}/").raise_for_status()
        wait_until(lambda: asked(on), what="a ring")
        on.pull()
        off.pull()
        assert feedback(on) == feedback(off)
        assert [row["label"] for row in feedback(on)] == ["eel", "dog"]
        assert states(on) == states(off) == {"answered": 2, "in_review": 2}

        on.web.delete(f"/api/tasks/{ids[3]}/").raise_for_status()
        wait_until(lambda: len(rung(on)) == 2, what="the ring of a deletion")
        assert on.pull().withdrawn == 1
        assert rung(on) == [] == rung(off)


def test_it_counts_who_wrote_it_not_whom_he_named(database: Database, label_studio: LabelStudio) -> None:
    """Overlap of two; the administrator changes what another said, and names somebody else as its author."""
    anne, ben = (label_studio.sign_up(f"{name}@pull.example.org")[1] for name in ("anne", "ben"))
    with sync_loop(database, label_studio.url, label_studio.token, overlap=2) as loop:
        loop.submit(1)
        loop.push()
        [task] = loop.tasks()
        hers = loop.annotate(task["id"], "cat", web=anne)
        loop.pull()
        assert loop.states() == {"in_review": 1}
        loop.annotate(task["id"], "dog", web=ben)
        loop.pull()
        assert loop.states() == {"answered": 1}
        assert answers(loop) == [(None, None, 2)]
        assert [row["email"] for row in feedback(loop)] == ["anne@pull.example.org", "ben@pull.example.org"]

        loop.edit(hers, "dog")
        loop.pull()
        assert answers(loop)[1:] == [("dog", 1.0, 2)]
        assert "anne@pull.example.org" not in [row["email"] for row in feedback(loop)]


def test_people_are_known_by_name_after_a_change_and_after_they_are_deleted(
    loop: SyncLoop, label_studio: LabelStudio
) -> None:
    email = f"zoe-{uuid4().hex}@pull.example.org"
    zoe = label_studio.sign_up(email)[1]
    number = zoe.get("/api/current-user/whoami").raise_for_status().json()["id"]

    def called() -> list[tuple[str | None, str]]:
        with loop.database.transaction() as conn:
            shown = people.names(conn, loop.spec.name)
            return [(row.reviewer, shown[f"user {number}"]) for row in people.work(conn, loop.spec.name)]

    loop.submit(2)
    loop.push()
    first, second = loop.tasks()
    loop.annotate(first["id"], "cat", web=zoe)
    loop.pull()
    local_part = email.partition("@")[0]
    assert called() == [(local_part, local_part)]
    loop.web.patch(f"/api/users/{number}/", json={"first_name": "Zoë", "last_name": "Li"}).raise_for_status()
    loop.pull(full=True)
    assert called() == [("Zoë Li", "Zoë Li")]
    loop.annotate(second["id"], "cat", web=zoe)
    loop.pull()
    loop.web.delete(f"/api/users/{number}/").raise_for_status()
    assert number not in loop.gateway.users()
    loop.pull(full=True)
    assert called() == [("Zoë Li", "Zoë Li")]


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


def test_many_tasks_deleted_on_purpose_stop_nobody_once_it_is_said(loop: SyncLoop) -> None:
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


def test_a_forged_or_malformed_ring_stores_nothing(database: Database) -> None:
    settings = Settings(hook_secret=SECRET, sync_url="http://sync")
    app = Flask(__name__)
    app.register_blueprint(doorbell.blueprint(settings, database))
    client = app.test_client()
    with database.transaction() as conn:
        loops.register(conn, parse("pets", YAML, XML))
        conn.execute(
            "insert into projects (loop, label_studio_url, project_id, signing_key) values ('pets', 'x', 7, 'k')"
        )
    good = {"action": "ANNOTATION_CREATED"}

    def ring(body: object, secret: str | None = SECRET, loop: str = "pets") -> int:
        headers = {} if secret is None else {"X-Labelloop-Secret": secret}
        how: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        return client.post(hook_path(loop), headers=headers, **how).status_code

    assert [ring(good, secret) for secret in (None, "", "wrong", SECRET + "x", "ü")] == [401] * 5
    odd: list[object] = [b"", b"{", b"\xff", b"[" * 100_000, b"null", [], {}, {"action": 1}, {**good, "project": 7}]
    assert [ring(body) for body in odd] == [400] * 9
    strange: list[object] = [None, True, "7", -1, 2**63, 7.5, {}, 8]
    assert [ring({**good, "project": {"id": id_}}) for id_ in strange] == [204] + [404] * 7
    assert ring(good, loop="others") == 404
    with database.transaction() as conn:
        assert conn.execute("delete from procrastinate_jobs").rowcount == 1

    image = {**good, "task": {"id": 3, "data": {"image": "x" * 300_000}}}
    assert [ring(image, "wrong"), ring(image, loop="others")] == [401, 404]
    assert [ring(image), ring(good), ring(good), ring({"action": "TASKS_DELETED"})] == [204] * 4
    with database.transaction() as conn:
        assert conn.execute("select * from pull_requests").fetchall() == [], "no task is open"
        [job] = conn.execute("select task_name, scheduled_at - now() as wait from procrastinate_jobs").fetchall()
    assert job["task_name"] == jobs.PULL
    assert timedelta(0) < job["wait"] <= timedelta(seconds=doorbell.PACE_S), "one look for all of these rings"


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


def asked(loop: SyncLoop) -> list[Any]:
    return loop.sql("select * from procrastinate_jobs where task_name = %(job)s", job=jobs.PULL)


def states(loop: SyncLoop) -> dict[str, int]:
    rows = loop.sql("select state::text, count(*) as n from outputs where loop = %(l)s group by 1", l=loop.spec.name)
    return {row["state"]: row["n"] for row in rows}


@contextmanager
def doorbell_server(loop: SyncLoop) -> Iterator[str]:
    app = Flask(__name__)
    app.register_blueprint(doorbell.blueprint(replace(loop.settings, hook_secret=SECRET), loop.database))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
