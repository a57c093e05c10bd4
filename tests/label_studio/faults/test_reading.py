"""Pulls and sweeps that can read a part only: the rest goes on, and no missing part counts as deleted."""

from __future__ import annotations

import json
import logging
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from console.doctor import Level, answers
from labelloop.errors import Refused, Unreachable
from labelloop.labelstudio.gateway import Gateway
from labelloop.labelstudio.listing import PAGE
from labelloop.process.settings import FILE
from labelloop.store.alerts import faulty
from labelloop.store.database import Database
from sync.pull import pull as pulling
from sync.pull.pull import Memory
from sync.pull.restored import LabelStudioIsOlder
from sync.worker import TOKEN, SyncJobs
from tests.support.chaos.links import HttpLink
from tests.support.hops.pulled import feedback
from tests.support.servers import LabelStudio, label_studio_database
from tests.support.sync_loop import SyncLoop, region, sync_loop

OUTPUT_OF = "select t.label_studio_id, o.key from tasks t join outputs o on o.id = t.output_id"
UNREADABLE = json.dumps({"result": region("cat"), "lead_time": 1}).replace('"lead_time": 1', '"lead_time": 1e999')
"""An annotation that Label Studio stores, and that it can never show again."""


@pytest.fixture
def loop(database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        yield loop


def test_a_task_at_which_label_studio_fails_hides_no_other_and_counts_once_it_is_mended(
    loop: SyncLoop, label_studio_postgres: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "LATE_EVERY_S", 0.0)
    loop.submit(4)
    loop.push()
    tasks = [task["id"] for task in loop.tasks()]
    bad = tasks[2]
    loop.annotate(bad, "cat")
    memory = Memory()
    assert loop.pull(memory=memory).answers == 1
    poison = f"/api/tasks/{bad}/annotations/?project={loop.project_id}"
    assert loop.web.post(poison, content=UNREADABLE, headers={"Content-Type": "application/json"}).status_code == 500
    for task in tasks[3:]:
        loop.annotate(task, "dog")
    with caplog.at_level(logging.WARNING):
        assert loop.pull(memory=memory).faulty == 1
        assert loop.pull(memory=memory, full=True).withdrawn == 0
    [words] = [record.message for record in caplog.records if "cannot be read" in record.message]
    assert f"task {bad} " in words
    assert "500" in words
    assert loop.states() == {"answered": 2, "in_review": 2}, "what was stored of the task stays, the others are read"

    loop.annotate(tasks[0], "eel")
    with psycopg.connect(label_studio_database(label_studio_postgres, loop.project.instance)) as conn:
        conn.execute("update task_completion set lead_time = 1 where task_id = %s and lead_time = 'inf'", [bad])
    assert loop.pull(memory=memory).faulty == 0
    assert loop.states() == {"answered": 3, "in_review": 1}
    mended = loop.sql("select count(*) as n from annotations where task_id = %(bad)s", bad=bad)
    assert mended == [{"n": 2}]


BROKEN = {
    "data": (
        "update task set data = data || '{\"n\": 1e5000}' where id = %s",
        "update task set data = data - 'n' where id = %s",
    ),
    "annotation": (
        "update task_completion set result = jsonb_insert(result, '{0,n}', '1e5000') where task_id = %s",
        "update task_completion set result = result #- '{0,n}' where task_id = %s",
    ),
}
"""A number of 5,001 digits in what Label Studio has stored: it answers 500 to each list with the task, whatever fields
are asked for. By what each of two tasks has it, and the repair.
"""


def test_tasks_that_label_studio_cannot_even_list_stop_nothing_and_are_named_until_they_are_mended(
    loop: SyncLoop, label_studio_postgres: str
) -> None:
    loop.submit(7)
    loop.push()
    first, data, annotation, gone, *others = (task["id"] for task in loop.tasks())
    for task in (data, annotation, gone):
        loop.annotate(task, "cat")
    broken = {"data": [data, gone], "annotation": [annotation]}

    def do(which: int) -> None:
        with psycopg.connect(label_studio_database(label_studio_postgres, loop.project.instance)) as conn:
            for name, tasks in broken.items():
                for task in tasks:
                    conn.execute(BROKEN[name][which], [task])

    do(0)
    loop.annotate(others[0], "dog")
    assert loop.pull().answers == 1
    loop.annotate(others[1], "eel")
    report = loop.pull(full=True)  # by a worker that was started anew
    assert (report.answers, report.withdrawn) == (1, 0)
    loop.submit(1)
    assert loop.push().pushed == 1
    keys = {row["label_studio_id"]: row["key"] for row in loop.sql(OUTPUT_OF)}
    with loop.database.transaction() as ours:
        named = faulty.list_(ours, "pets")
    assert {row.label_studio_id: row.key for row in named} == {id_: keys[id_] for id_ in (data, annotation, gone)}
    assert all("500" in row.reason and "4300 digits" in row.reason for row in named)
    finding = answers.faulty("pets", named)
    assert finding.level is Level.FAULT
    assert f"projects/{loop.project_id}/data?task={data}" in finding.repair

    do(1)
    loop.web.delete(f"/api/tasks/{gone}/").raise_for_status()
    loop.annotate(first, "cat")
    assert loop.pull().answers == 3
    assert loop.pull(full=True).withdrawn == 1
    assert loop.states() == {"answered": 5, "in_review": 2, "withdrawn": 1}
    assert loop.sql("select * from faulty_tasks") == []


def test_an_answer_without_a_change_of_its_task_is_no_sign_that_label_studio_was_restored(
    loop: SyncLoop, label_studio_postgres: str
) -> None:
    """A Label Studio that is killed in the middle of a submit has stored the answer, and not the time at its task."""
    loop.submit(2)
    loop.push()
    first, second = (task["id"] for task in loop.tasks())
    answer = loop.annotate(first, "cat")
    loop.pull()
    with psycopg.connect(label_studio_database(label_studio_postgres, loop.project.instance)) as conn:
        conn.execute("update task set updated_at = updated_at - interval '1 minute' where id = %s", [first])
    loop.annotate(second, "dog")
    loop.pull(full=True)
    assert loop.states() == {"answered": 2}
    with psycopg.connect(label_studio_database(label_studio_postgres, loop.project.instance)) as conn:
        conn.execute("update task_completion set updated_at = updated_at - interval '1 minute' where id = %s", [answer])
    with pytest.raises(LabelStudioIsOlder, match="1 tasks there lack answers"):
        loop.pull(full=True)


def test_a_task_that_is_deleted_between_two_pages_hides_no_other(loop: SyncLoop) -> None:
    loop.push()  # makes the project
    many = [{"data": {"text": f"number {i}"}} for i in range(PAGE + 2)]
    loop.web.post(f"/api/projects/{loop.project_id}/import", json=many).raise_for_status()
    read = loop.gateway.all_tasks(loop.project_id)
    seen = [next(read).id]
    loop.web.delete(f"/api/tasks/{seen[0]}/").raise_for_status()
    seen += [task.id for task in read]
    assert len(seen) == len(set(seen)) == PAGE + 2


class CutList(HttpLink):
    """Cuts the list of tasks in two while `rate` is 1."""

    def draw(self, method: str, path: str) -> tuple[str, float]:
        return ("cut reply" if self.rate and method == "GET" and path.startswith("/api/tasks/") else ""), 0.0


def test_a_list_that_was_cut_moves_no_bookmark_and_withdraws_nothing(
    database: Database, label_studio: LabelStudio
) -> None:
    link = CutList("label-studio", label_studio.url, random.Random(0))
    with sync_loop(database, label_studio.url, label_studio.token, through=link.url) as loop:
        loop.submit(4)
        loop.push()
        first, second, *_ = (task["id"] for task in loop.tasks())
        loop.annotate(first, "cat")
        loop.pull(full=True)
        before = loop.sql("select bookmark, swept_at from projects"), loop.states()
        loop.annotate(second, "dog")
        link.rate = 1.0
        for full in (False, True):
            with pytest.raises(Unreachable):
                loop.pull(full=full)
        assert (loop.sql("select bookmark, swept_at from projects"), loop.states()) == before
        link.rate = 0.0
        assert loop.pull(full=True).withdrawn == 0
        assert loop.states() == {"answered": 2, "in_review": 2}
    link.close()


def test_a_token_revoked_in_the_middle_of_a_sweep_withdraws_nothing_and_the_new_one_goes_on(
    database: Database, label_studio: LabelStudio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, session = label_studio.sign_up("robot@example.org")
    monkeypatch.setenv("LABELLOOP_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LABELLOOP_LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.delenv(TOKEN, raising=False)
    assert TOKEN not in os.environ
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        loop.submit(3)
        loop.push()
        gone, answered, _ = (task["id"] for task in loop.tasks())
        loop.web.delete(f"/api/tasks/{gone}/").raise_for_status()
        loop.annotate(answered, "cat")

        class Revoked(Gateway):
            def all_tasks(self, *given: object) -> Iterator[object]:  # type: ignore[override]
                yield from super().all_tasks(*given)  # type: ignore[arg-type]
                session.post("/api/current-user/reset-token/").raise_for_status()

        (tmp_path / FILE).write_text(f"{TOKEN}={token}\n")
        settings = replace(loop.settings, label_studio_token=token)
        worker = SyncJobs(settings, database, Revoked(label_studio.url, token))
        with pytest.raises(Refused) as refused:
            worker.pull("pets")
        assert refused.value.status == 401
        assert loop.states()["withdrawn"] == 0
        fresh = session.get("/api/current-user/token").raise_for_status().json()["token"]
        assert fresh != token
        (tmp_path / FILE).write_text(f"{TOKEN}={fresh}\n")
        worker.pull("pets")  # refused once more, which brings the new token
        worker.pull("pets")
        assert loop.states() == {"withdrawn": 1, "answered": 1, "in_review": 1}


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(minutes=-10)], ids=["ahead", "behind"])
def test_a_label_studio_whose_clock_is_ten_minutes_off_loses_no_answer_edit_or_deletion(
    loop: SyncLoop, label_studio_postgres: str, ahead: timedelta
) -> None:
    """Label Studio's times of this project are moved in its own database, as if its machine had another clock."""
    loop.submit(3)
    loop.push()
    url = label_studio_database(label_studio_postgres, loop.project.instance)
    with _shifted(url, int(loop.project_id), ahead):
        memory = Memory()
        kept, edited, deleted = (task["id"] for task in loop.tasks())
        loop.annotate(kept, "cat")
        loop.pull(memory=memory)
        one, other = loop.annotate(edited, "cat"), loop.annotate(deleted, "eel")
        loop.pull(memory=memory)
        assert loop.states() == {"answered": 3}
        loop.edit(one, "dog")
        loop.web.delete(f"/api/annotations/{other}/").raise_for_status()
        loop.pull(memory=memory)
        assert sorted(row["label"] for row in feedback(loop)) == ["cat", "dog"]
        assert loop.states() == {"answered": 2, "in_review": 1}
        assert loop.pull(full=True).withdrawn == 0
        assert loop.pull(full=True).answers == 0


class _shifted:
    """For a `with`: Label Studio stores all times of this project with a shift."""

    def __init__(self, url: str, project: int, ahead: timedelta) -> None:
        self.url, self.project, self.ahead = url, project, ahead

    def __enter__(self) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute(
                f"create function shift_{self.project}() returns trigger language plpgsql as $$ begin"
                f" new.updated_at = clock_timestamp() + interval '{self.ahead.total_seconds()} s'; return new; end $$"
            )
            for table in ("task", "task_completion"):
                conn.execute(
                    f"create trigger shift_{self.project} before insert or update on {table} for each row"
                    f" when (new.project_id = {self.project}) execute function shift_{self.project}()"
                )
            conn.execute("update task set updated_at = now() where project_id = %s", [self.project])

    def __exit__(self, *_: object) -> None:
        with psycopg.connect(self.url) as conn:
            conn.execute(f"drop function shift_{self.project}() cascade")
