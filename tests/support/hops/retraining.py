"""Retraining of a loop in this process, with or without its child process."""

from __future__ import annotations

import threading
from uuid import UUID

from backend.decide.promote import promote
from backend.train.retrain import retrain
from backend.train.train import train
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import runs, versions
from labelloop.versions.runs import RetrainRun


def requested(database: Database, loop: str, why: str = "a test") -> UUID | None:
    with database.transaction() as conn:
        return runs.request(conn, loop, why)


def trained(database: Database, settings: Settings, loop: str) -> RetrainRun:
    """A whole run; returns its row."""
    assert requested(database, loop) is not None
    retrain(database, settings, loop, threading.Event())
    with database.transaction() as conn:
        return next(run for run in runs.latest(conn, loop) if run.finished_at is not None)


def started(database: Database, loop: str) -> RetrainRun:
    """A run that has started against the present champion; its row."""
    assert requested(database, loop) is not None
    with database.transaction() as conn:
        champion = versions.champion(conn, loop)
        run = runs.claim(conn, loop, None if champion is None else champion.id)
    assert run is not None
    return run


def claimed(database: Database, loop: str) -> UUID:
    return started(database, loop).id


def quickly(database: Database, settings: Settings, loop: str) -> str:
    """A champion without a child process and without a gate; returns its id."""
    run_id = claimed(database, loop)
    version: str = train(database, settings.models_dir, run_id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run_id, "refused", version_id=version)
    promote(database, loop, version, "a test", "to begin with", models_dir=settings.models_dir)
    return version


def asked(database: Database, job: str) -> int:
    with database.transaction() as conn:
        row = conn.execute("select count(*) as n from procrastinate_jobs where task_name = %s", (job,)).fetchone()
    assert row is not None
    return int(row["n"])


class NoChild:
    """In place of the children where nothing is trained."""

    def take(self) -> None: ...
