"""The real training process at its limits: killed, out of memory or time, crashed, stopped. The champion serves on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from backend import models
from backend.train.retrain import retrain
from console.cli import main
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.spec.sections import Retrain
from labelloop.store.database import Database
from labelloop.store.questions import new_answers
from labelloop.store.tables import loops, runs, versions
from labelloop.versions.runs import RetrainRun, RunStatus
from tests.support.backend_factory import PASSWORD, answer, new_champion, settings_for, submit, texts_spec
from tests.support.workers.backend_worker import until
from tests.support.workers.processes import children, gone

LOOP = "texts"
CHARACTERS = 30_000
"""Characters of a long text. Sixty such texts need gigabytes, and keep a run busy until the test interrupts it."""


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


@pytest.fixture
def spec(database: Database, settings: Settings) -> Iterator[LoopSpec]:
    """A loop with 60 answered texts and a champion, which is the champion at the end of the test too."""
    spec = texts_spec(holdout=0.4)
    truths = ["spam" if i % 2 else "ham" for i in range(60)]
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": f"{truth} {i * 7919}"} for i, truth in enumerate(truths)], truths)
        answer(conn, spec.name, dict(zip(ids.values(), truths, strict=True)))
    assert settings.models_dir is not None
    version = new_champion(database, spec.name, settings.models_dir)
    yield spec
    with database.transaction() as conn:
        champion = versions.champion(conn, LOOP)
        assert runs.open_runs(conn, LOOP) == []
    assert champion is not None
    assert (champion.id, champion.epoch) == (version, 1)
    assert models.load(settings.models_dir, version).classes == ("ham", "spam")


def limits(database: Database, spec: LoopSpec, **said: Any) -> None:
    with database.transaction() as conn:
        loops.register(conn, spec.model_copy(update={"retrain": Retrain(**said)}))


def lengthen(database: Database) -> None:
    """No run of letters of which is like another."""
    letters = np.random.default_rng(0).integers(0x4E00, 0x9FA0, size=(60, CHARACTERS))
    with database.transaction() as conn:
        for i, row in enumerate(letters.tolist()):
            conn.execute(
                "update outputs set data = jsonb_build_object('text', %s::text) where key = %s",
                ("".join(map(chr, row)), f"item-{i}"),
            )


def latest(database: Database) -> RetrainRun:
    with database.transaction() as conn:
        return runs.latest(conn, LOOP, 1)[0]


def run(database: Database, settings: Settings, stop: threading.Event | None = None) -> RetrainRun:
    """A whole run with its own process; its row."""
    with database.transaction() as conn:
        runs.request(conn, LOOP, "a test")
    retrain(database, settings, LOOP, stop or threading.Event())
    return latest(database)


def trainers() -> list[int]:
    """Ids of the training processes of this test: others may have left processes of other kinds."""
    return [pid for pid in children(os.getpid()) if b"backend.train.train" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@contextmanager
def begun(database: Database, settings: Settings) -> Iterator[tuple[int, Future[RetrainRun]]]:
    """A run whose process, of this id, is in the middle of its work."""
    lengthen(database)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(run, database, settings, stop)
        try:
            until(lambda: latest(database).progress or going.done())
            (child,) = trainers()
            yield child, going
        finally:
            stop.set()


def test_a_training_process_that_is_killed_fails_the_run(
    database: Database, settings: Settings, spec: LoopSpec
) -> None:
    with begun(database, settings) as (child, going):
        os.kill(child, signal.SIGKILL)
        ended = going.result(timeout=60)
    assert (ended.status, ended.version_id) == ("failed", None)
    assert ended.error == "the training process was terminated by SIGKILL, perhaps because it ran out of memory"


def test_a_run_that_needs_more_memory_than_it_may_fails_and_says_so(
    database: Database, settings: Settings, spec: LoopSpec
) -> None:
    limits(database, spec, memory_gb=1.0)
    lengthen(database)
    ended = run(database, settings)
    assert (ended.status, ended.error) == ("failed", "out of memory: training may use 1 GiB")


def test_a_run_that_takes_too_long_is_ended(database: Database, settings: Settings, spec: LoopSpec) -> None:
    limits(database, spec, minutes=0.05)
    lengthen(database)
    ended = run(database, settings)
    assert ended.status == "failed"
    assert ended.error == "training took longer than 0.05 minutes and was stopped"
    assert trainers() == []


def test_a_crash_is_told_with_its_traceback_and_without_secrets(
    database: Database, settings: Settings, spec: LoopSpec
) -> None:
    in_the_way = settings.data_dir / PASSWORD
    in_the_way.write_text("no folder")
    ended = run(database, replace(settings, models_dir=in_the_way))
    assert ended.status == "failed"
    assert str(ended.error).startswith("training failed: FileExistsError: ")
    assert "Traceback" in str(ended.log)
    assert "fitting" in str(ended.log)
    for said in (str(ended.error), str(ended.log)):
        assert "***" in said
        assert PASSWORD not in said


def test_a_run_is_stopped_in_the_middle_and_says_who_did_it_and_why(
    database: Database, settings: Settings, spec: LoopSpec
) -> None:
    with begun(database, settings) as (child, going):
        progress = latest(database).progress
        assert progress is not None
        assert 0 <= progress["done"] < progress["of"], progress
        stop = ["retrain", "--stop", "--loop", LOOP, "--by", "ann", "--why", "labels are being renamed"]
        said = CliRunner().invoke(main, stop, env=settings.to_env(), catch_exceptions=False)
        assert "stops within seconds" in said.output
        ended = going.result(timeout=60)
        assert gone(child)
    assert (ended.status, ended.version_id) == ("stopped", None)
    assert ended.reasons == ["stopped by ann: labels are being renamed"]
    with database.transaction() as conn:
        assert conn.execute("select run_id, decision, by, why from decisions where decision = 'stop'").fetchall() == [
            {"run_id": ended.id, "decision": "stop", "by": "ann", "why": "labels are being renamed"}
        ]
        assert not runs.ask_to_stop(conn, ended.id, "bob"), "it has ended"
    said = CliRunner().invoke(main, stop, env=settings.to_env())
    assert (said.exit_code, said.stderr) == (
        2,
        "labelloop: no run of texts is queued or running: there is nothing to stop\n",
    )


def test_a_run_that_waits_is_stopped_at_once_and_does_not_come_back(
    database: Database, settings: Settings, spec: LoopSpec
) -> None:
    with database.transaction() as conn:
        answer(conn, LOOP, {row["id"]: "ham" for row in conn.execute("select id from outputs").fetchall()})
        run_id = runs.request(conn, LOOP, "60 new answers")
        assert run_id is not None
        assert runs.ask_to_stop(conn, run_id, "ann", "not now")
        assert new_answers.count(conn, LOOP) == 0, "they would ask for it again the next moment"
    assert retrain(database, settings, LOOP, threading.Event()) is None
    assert latest(database).status == RunStatus.STOPPED
    assert latest(database).reasons == ["stopped by ann before it began: not now"]


def test_a_verdict_that_comes_with_the_wish_to_stop_is_none(database: Database, spec: LoopSpec) -> None:
    with database.transaction() as conn:
        run_id = runs.request(conn, LOOP, "a test")
        assert run_id is not None
        assert runs.claim(conn, LOOP, None) is not None
        assert runs.ask_to_stop(conn, run_id, "ann")
        assert not runs.finish(conn, run_id, "promoted")
        assert not runs.beat(conn, run_id), "so its worker hears of it"
        assert runs.stop_if_asked(conn, run_id)
    assert latest(database).status == RunStatus.STOPPED
