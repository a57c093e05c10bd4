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

from labelloop.answers.alerts import AlertState
from labelloop.process.settings import Settings
from labelloop.spec.folder import parse
from labelloop.store.alerts import deciding
from labelloop.store.alerts import rows as alerts
from labelloop.store.database import Database
from labelloop.store.questions import people
from labelloop.store.tables import jobs, loops
from sync.project.project import ensure_project, hook_path
from sync.pull import doorbell
from tests.support.hops.pulled import answers, feedback
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, YAML, SyncLoop, sync_loop, wait_until

SECRET = "of-the-hook"


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def test_edits_skips_and_deletions_arrive_and_earlier_answers_are_kept(loop: SyncLoop) -> None:
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
        assert answers(loop)[1:] == [], "somebody must accept what another person changed"
        with database.transaction() as conn:
            [alert] = alerts.list_(conn)
            deciding.decide(conn, [alert.id], AlertState.ACCEPTED, "ada", "she asked for it")
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
