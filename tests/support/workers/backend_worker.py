"""A backend worker as a process of its own, and what it leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import jobs, runs
from labelloop.versions.runs import RetrainRun
from tests.support.backend_factory import answer, submit, texts_spec
from tests.support.rows import items_of_part

PROGRAM = """\
import sys
import backend.worker, labelloop.process.priority
labelloop.process.priority.NICENESS = 0
sys.exit(backend.worker.main())
"""
"""The worker, whose training does not give way to the rest of a machine that may be busy."""
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]


@contextmanager
def worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker; it is killed at the end."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], env={**os.environ, **settings.to_env()})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(what: Callable[[], Any], within_s: float = 120) -> Any:
    """Return the first true value of `what`."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := what():
            return found
        time.sleep(0.05)
    return pytest.fail("did not happen in time")


def texts_loop(database: Database, length: int) -> str:
    """Make a loop with 60 answered texts of `length` words, and request a run."""
    spec = texts_spec(holdout=0.4)
    truths = ["spam" if i % 2 else "ham" for i in range(60)]
    texts = [" ".join([t, *(WORDS[(i * j * 7) % len(WORDS)] for j in range(length))]) for i, t in enumerate(truths)]
    with database.transaction() as conn:
        ids = submit(conn, spec, [{"text": text} for text in texts], truths)
        answer(conn, spec.name, dict(zip(ids.values(), truths, strict=True)))
        runs.request(conn, spec.name, "a test")
        jobs.ask(conn, jobs.RETRAIN, spec.name)
    return spec.name


def latest(database: Database, loop: str) -> RetrainRun:
    with database.transaction() as conn:
        return runs.latest(conn, loop, 1)[0]


def in_the_middle_of_training(database: Database, loop: str) -> bool:
    """The child has read its answers, and has not made a version yet."""
    with database.transaction() as conn:
        run = runs.latest(conn, loop, 1)[0]
        return run.status == "running" and bool(items_of_part(conn, run.id, "train"))
