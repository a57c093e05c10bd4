"""A loop with outputs in all states, people's answers, their shares and a champion, for the tests of the deep look."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg

from console.doctor.deep import Places, Status, Verdict, look_twice
from console.doctor.deepest import places
from labelloop.process.heads import FILE
from labelloop.process.settings import Settings
from labelloop.spec.folder import parse
from labelloop.spec.people import People
from labelloop.store.database import Database
from sync.answering import feedback
from sync.record.seal import Sealer
from tests.support.hops.retraining import quickly
from tests.support.servers import LabelStudio, a_database
from tests.support.sync_loop import XML, YAML, SyncLoop, sync_loop

LOOP = "pets"
SECOND, JUDGE = "second@deep.example.org", "judge@deep.example.org"
SECRET = "a-secret-that-no-text-may-hold"
TWICE = YAML.replace("window: 50", "window: 14").replace("audit: 0.0\n  queue", "audit: 0.0\n  overlap: 2\n  queue")


@dataclass(frozen=True, slots=True)
class DeepLoop:
    """A database that nobody is connected to, so that each test gets a copy of it, and what it is about."""

    url: str
    settings: Settings
    label_studio: LabelStudio

    @contextmanager
    def copy(self, admin_url: str) -> Iterator[Settings]:
        name = f"labelloop_deep_{uuid.uuid4().hex[:12]}"
        heads = self.settings.data_dir / f"{name}.jsonl"
        shutil.copy(self.settings.data_dir / FILE, heads)
        with a_database(admin_url, name, self.url.rpartition("/")[2]) as url:
            yield replace(self.settings, database_url=url, record_heads=heads)


def remembering(url: str) -> Callable[..., Iterable[bytes]]:
    """A server that answers a request as Label Studio at `url` answered the same one before: SQL changes nothing there.

    A task costs Label Studio 20 ms for each look.
    """
    answers: dict[tuple[str, bytes], httpx.Response] = {}

    def app(environ: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        path = f"{environ['PATH_INFO']}?{environ['QUERY_STRING']}"
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if (path, body) not in answers:
            headers = {"Authorization": environ["HTTP_AUTHORIZATION"], "Content-Type": "application/json"}
            answers[path, body] = httpx.request("GET", url + path, content=body, headers=headers, timeout=60)
        answer = answers[path, body]
        start(f"{answer.status_code} {answer.reason_phrase}", [("Content-Type", "application/json")])
        return [answer.content]

    return app


@contextmanager
def deep_loop(admin_url: str, template: str, label_studio: LabelStudio, folder: Path) -> Iterator[DeepLoop]:
    name = f"labelloop_deep_{uuid.uuid4().hex[:12]}"
    with a_database(admin_url, name, template.rpartition("/")[2]) as url:
        with Database(url) as database:
            of, people = parse(LOOP, TWICE, XML), People(who={label_studio.email: (), SECOND: ()})
            shared = of.model_copy(update={"people": people, "adjudicators": (JUDGE,)})
            with sync_loop(database, label_studio.url, label_studio.token, of=shared) as loop:
                settings = replace(loop.settings, models_dir=folder / "models", data_dir=folder, intake_token=SECRET)
                _fill(loop, label_studio, settings)
            seal(settings)
        yield DeepLoop(url, settings, label_studio)


def _fill(loop: SyncLoop, label_studio: LabelStudio, settings: Settings) -> None:
    """Bring outputs into all states. Two people answer; some differ, some skip, some change or delete an answer. An
    adjudicator answers one.
    """
    other, judge = label_studio.sign_up(SECOND)[1], label_studio.sign_up(JUDGE)[1]
    loop.submit(1, data={"title": "without the text"}, confidences=[0.3])
    loop.submit(34)
    loop.submit(2, confidences=[0.95, 0.97])
    loop.push()
    tasks = [task["id"] for task in loop.tasks()]
    for place, task in enumerate(tasks[:8]):
        label = ("cat", "dog", "eel")[place % 3]
        first = loop.annotate(task, label)
        second = loop.annotate(task, "dog" if place == 3 else label, web=other)
        if place == 5:
            loop.edit(first, "cat")
            loop.edit(first, label)
        if place == 6:
            loop.pull()
            loop.web.delete(f"/api/annotations/{second}/").raise_for_status()
    loop.annotate(tasks[8], "cat", skip=True)
    loop.annotate(tasks[9], "yak")  # no such label
    loop.annotate(tasks[10], "cat")
    edited = loop.annotate(tasks[12], "cat")
    loop.annotate(tasks[13], "eel", web=judge)
    loop.pull()
    loop.edit(edited, "dog", web=other)  # an alert
    loop.web.delete(f"/api/tasks/{tasks[11]}/").raise_for_status()
    loop.pull(full=True)
    with loop.database.transaction() as conn:
        row = conn.execute(
            "select key from outputs where state = 'in_review' and id not in (select model_output_id from feedback)"
            " order by key limit 1"
        ).fetchone()
        assert row is not None
        sent = {
            "key": row["key"],
            "reviewer_id": "third",
            "approval": False,
            "correction": "eel",
            "comment": "over HTTP",
        }
        feedback.store(conn, loop.spec, feedback.read(json.dumps(sent).encode()))
    quickly(loop.database, settings, LOOP)
    loop.push()
    loop.pull(full=True)


def looked(where: Places, settle_s: float = 0.05, loop: str | None = LOOP) -> dict[str, Verdict]:
    """By invariant: the verdicts that are not ok."""
    return {one.invariant.id: one for one in look_twice(where, loop, settle_s) if one.status is not Status.OK}


def data_only(settings: Settings) -> Places:
    """Without the champion's file: to load it takes seconds, and SQL does not change it."""
    return replace(places(settings), models_dir=None)


def tamper(url: str, *statements: str) -> None:
    """Change rows by SQL, without any trigger or foreign key."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("set session_replication_role = replica")
        for statement in statements:
            assert conn.execute(statement.encode()).rowcount != 0, statement


def seal(settings: Settings) -> None:
    """Seal all entries of the record, as the sync worker does every 5 s."""
    with Database(settings.database_url) as database:
        Sealer(settings, database).seal()
