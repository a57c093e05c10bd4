"""Consumers of queues in tests: in a thread of the test, or as the process that a supervisor starts."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from console.local.supervisor import ROOT, python_env
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from sync.intake.consuming import Batching, Consuming
from tests.support.network.tcp import Line

FAST = Batching(1_000, 0.05)
Consume = Callable[[Consuming, Batching], None]


def until(true: Callable[[], object], within_s: float = 30.0) -> None:
    """Wait until it is true; fail if that takes too long."""
    limit = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < limit, "it did not come true in time"
        time.sleep(0.05)


@contextmanager
def line_to(database_url: str) -> Iterator[tuple[Line, Database]]:
    """A line to Postgres that can be cut, and a Database at the other end of it."""
    parts = urlsplit(database_url)
    assert parts.hostname
    line = Line(parts.hostname, parts.port or 5432)
    user = parts.netloc.rpartition("@")[0]
    url = parts._replace(netloc=f"{user}@127.0.0.1:{line.port}").geturl()
    with Database(url, wait_s=1.0) as database:
        yield line, database
    line.close()


@contextmanager
def consuming(
    database: Database, consume: Consume, *, loop: str | None = "pets", batching: Batching = FAST
) -> Iterator[Consuming]:
    """A consumer in a thread for the length of the `with`; at its end it is told to end, as by SIGTERM."""
    own = Consuming(Settings(), database, loop)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            consume(own, batching)
        except BaseException as exc:
            failed.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield own
    finally:
        own.stopping.set()
        thread.join(30)
    assert not thread.is_alive()
    assert not failed, failed


class Process:
    """`labelloop consume ...` as a process, with its log."""

    def __init__(self, database_url: str, words: Sequence[str], **env: str) -> None:
        settings = {"LABELLOOP_DATABASE_URL": database_url, "LABELLOOP_DATA_DIR": "/nonexistent"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "labelloop", "consume", *words],
            cwd=ROOT, env=python_env() | settings | env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def end(self) -> tuple[int, str]:
        """SIGTERM; returns the exit status and the log."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        _, log = self._process.communicate(timeout=30)
        return self._process.returncode, log


def stored(database: Database) -> int:
    """Return the number of outputs."""
    with database.transaction() as conn:
        row = conn.execute("select count(*) as n from outputs").fetchone()
    assert row is not None
    return int(row["n"])


def keys(database: Database) -> list[str]:
    """Return the keys of all outputs, sorted."""
    with database.transaction() as conn:
        return [row["key"] for row in conn.execute('select key from outputs order by key collate "C"')]


def killed_three_times(start: Callable[[], Process], count: Callable[[], int], total: int) -> Process:
    """Start a consumer, and kill it when a quarter more is stored, three times; return the fourth."""
    for quarter in (1, 2, 3):
        process = start()
        until(lambda quarter=quarter: count() >= total * (quarter - 0.5) / 4, 60)  # type: ignore[misc]
        process.kill()
    return start()
