"""Training and promotion that fail in every way, while predictions are asked for 20 times a second."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from backend import models
from backend.train.retrain import retrain
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Retrain
from labelloop.store.database import Database
from labelloop.store.tables import loops, runs, versions
from labelloop.versions.runs import RetrainRun
from tests.support.backend_factory import answer, new_champion, put_into_label_studio, settings_for, submit, texts_spec
from tests.support.ml_backend import PROJECT, basic, gunicorn, tasks
from tests.support.workers.backend_worker import latest, until, worker
from tests.support.workers.processes import children
from tests.support.workers.sync_worker import HOLD, LOCK

LOOP = "texts"
ROOM = 8_000
"""Bytes that a file may have on the full disk: fewer than a model's."""


@dataclass
class Asker:
    """Asks /predict 20 times a second, as many annotators at once would."""

    url: str
    body: dict[str, Any]
    statuses: set[object] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)
    """The versions that answered, each once for every change."""

    def ask(self, over: threading.Event) -> None:
        with httpx.Client(base_url=self.url, headers=basic(), timeout=60) as web:
            while not over.wait(0.05):
                said = web.post("/predict", json=self.body)
                self.statuses.add(said.status_code)
                found = {said.json()["model_version"], *(one["model_version"] for one in said.json()["results"])}
                assert len(found) == 1, "an answer of two versions"
                if self.seen[-1:] != [*found]:
                    self.seen += found


@contextmanager
def asking(url: str, body: dict[str, Any]) -> Iterator[Asker]:
    asker, over = Asker(url, body), threading.Event()
    thread = threading.Thread(target=asker.ask, args=(over,))
    thread.start()
    try:
        yield asker
        until(lambda: thread.is_alive() and asker.seen)
    finally:
        over.set()
        thread.join()
    assert asker.statuses == {200}


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def spec(database: Database) -> LoopSpec:
    """A loop with 120 texts in two topics, 80 of them answered, and tasks that are open in Label Studio."""
    spec = texts_spec(holdout=0.4)
    truths = ["spam" if i % 2 else "ham" for i in range(120)]
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": f"{truth} number {i * 7919}"} for i, truth in enumerate(truths)], truths)
        answer(conn, LOOP, dict(zip(list(ids.values())[:60], truths, strict=False)))
        put_into_label_studio(conn, LOOP, 20)
    return spec


def body_of(database: Database, spec: LoopSpec) -> dict[str, Any]:
    return {"tasks": tasks(database, 2), "project": PROJECT, "label_config": spec.labels_xml, "params": {}}


def more_answers(database: Database, upto: int) -> None:
    with database.transaction() as conn:
        rows = conn.execute("select id, data from outputs order by length(key), key limit %s", [upto]).fetchall()
        answer(conn, LOOP, {row["id"]: row["data"]["text"].split()[0] for row in rows[60:]})


def run(database: Database, settings: Settings, while_it_trains: Any = None) -> RetrainRun:
    """A whole run with a process of its own; its row."""
    with database.transaction() as conn:
        runs.request(conn, LOOP, "a test")
    thread = threading.Thread(target=retrain, args=(database, settings, LOOP, threading.Event()))
    thread.start()
    if while_it_trains is not None:
        until(lambda: trainers() and latest(database, LOOP).status == "running")
        while_it_trains(trainers()[0])
    thread.join(240)
    return latest(database, LOOP)


def trainers() -> list[int]:
    return [pid for pid in children(os.getpid()) if b"backend.train.train" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_whatever_happens_to_a_training_process_the_champion_answers_every_request(
    database: Database, settings: Settings, spec: LoopSpec, tmp_path: Path
) -> None:
    assert settings.models_dir is not None
    champion = new_champion(database, LOOP, settings.models_dir)
    more_answers(database, 80)
    with gunicorn(settings, tmp_path / "log") as url, asking(url, body_of(database, spec)) as asker:
        killed = run(database, settings, lambda pid: os.kill(pid, signal.SIGKILL))
        assert "terminated by SIGKILL" in str(killed.error)

        with database.transaction() as conn:
            loops.register(conn, spec.model_copy(update={"retrain": Retrain(minutes=0.1)}))
        hung = run(database, settings, lambda pid: os.kill(pid, signal.SIGSTOP))
        assert "took longer than 0.1 minutes" in str(hung.error)
        with database.transaction() as conn:
            loops.register(conn, spec)

        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
        try:
            full = run(database, settings)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "File too large" in f"{full.error} {full.log}"

        file = models.path(settings.models_dir, champion)
        file.write_bytes(file.read_bytes()[:-1] + b"?")
        said = len(asker.seen)
        until(lambda: httpx.get(url + "/health").is_success)
        assert said == 1
    assert {one.status for one in (killed, hung, full)} == {"failed"}
    assert [one.name for one in settings.models_dir.iterdir()] == [f"{champion}.skops"], "nothing half written is left"
    assert asker.seen == [champion[:12]]
    with database.transaction() as conn:
        now = versions.champion(conn, LOOP)
    assert now is not None
    assert (now.id, now.epoch) == (champion, 1)

    with gunicorn(settings, tmp_path / "log") as url:  # a restart does not serve the damaged file, and says so
        said_now = httpx.post(url + "/predict", json=body_of(database, spec), headers=basic(), timeout=60).json()
        assert said_now["model_version"] == "pipeline"
        assert httpx.get(url + "/readyz", timeout=60).json()["troubles"] == [
            f"texts: version {champion[:12]} cannot be loaded"
        ]


def test_a_worker_killed_in_the_middle_of_a_promotion_leaves_the_old_version_and_the_next_one_ends_it(
    database: Database, settings: Settings, spec: LoopSpec, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        conn.execute(HOLD)
        conn.execute("create trigger hold before insert on promotions for each row execute function hold()")
        runs.request(conn, LOOP, "a test")
    with gunicorn(settings, tmp_path / "log") as url, asking(url, body_of(database, spec)) as asker:
        with psycopg.connect(database.url, autocommit=True) as holder:
            holder.execute("select pg_advisory_lock(%s)", [LOCK])
            with worker(settings) as first:
                held = "select 1 from pg_locks where locktype = 'advisory' and objid = %s and not granted"
                until(lambda: holder.execute(held, [LOCK]).fetchone())
                assert [*(settings.models_dir or Path()).glob("*.skops")], "the file is there before the promotion"
                first.kill()
                first.wait()
        with database.transaction() as conn:
            assert versions.champion(conn, LOOP) is None
            conn.execute("drop trigger hold on promotions")
            conn.execute("update retrain_runs set heartbeat_at = heartbeat_at - interval '1 hour'")
            conn.execute("update procrastinate_workers set last_heartbeat = last_heartbeat - interval '1 hour'")
        assert asker.seen == ["pipeline"]
        with worker(settings):
            until(lambda: latest(database, LOOP).status == "promoted")
            until(lambda: len(asker.seen) == 2)
    with database.transaction() as conn:
        now = versions.champion(conn, LOOP)
    assert now is not None
    assert now.epoch == 1
    assert asker.seen == ["pipeline", now.id[:12]]
