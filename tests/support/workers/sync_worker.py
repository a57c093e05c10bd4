"""A sync worker as a process of its own, held at a chosen point in Postgres."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from labelloop.process.settings import Settings
from tests.support.sync_loop import SyncLoop

LOCK = 4242
HOLD = f"""
create function hold() returns trigger language plpgsql as
    $$ begin perform pg_advisory_xact_lock({LOCK}); return new; end $$;
"""


class Worker:
    """A sync worker that the test can end in two ways."""

    def __init__(self, settings: Settings) -> None:
        if settings.record_heads is None:  # the default is in the folder that the tests run in
            self._folder = tempfile.TemporaryDirectory(prefix="labelloop-heads-")
            settings = replace(settings, record_heads=Path(self._folder.name) / "heads.jsonl")
        environ = {k: v for k, v in os.environ.items() if not k.startswith("LABELLOOP_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sync.worker"], env={**environ, **settings.to_env()}, stderr=subprocess.PIPE
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, float, str]:
        """SIGTERM; returns exit status, seconds that it took, and its log."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, log = self.process.communicate(timeout=60)
        return self.process.returncode, time.monotonic() - start, log.decode()


@contextmanager
def held(loop: SyncLoop, when: str, table: str) -> Iterator[None]:
    """Hold every transaction at this point in Postgres; a process that is killed there leaves nothing behind."""
    loop.do(f"create trigger hold before {when} on {table} for each row execute function hold()")
    with psycopg.connect(loop.database.url, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [LOCK])
        yield
    loop.do(f"drop trigger hold on {table}")
