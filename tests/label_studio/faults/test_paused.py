"""Two sync workers at once, one of which stands still in the middle of an import and wakes up when all is decided."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from labelloop.store.database import Database
from tests.support.network.faultproxy import Proxy, proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until
from tests.support.workers.sync_worker import Worker

PAUSE_S = 120.0 if os.environ.get("LABELLOOP_TEST_LONG") else 0.0
"""Seconds for which the worker stands still at least."""


@pytest.fixture
def faults(label_studio: LabelStudio) -> Iterator[Proxy]:
    with proxy(label_studio.url) as server:
        yield server


def test_a_worker_that_was_paused_while_another_sent_its_batch_changes_nothing_and_works_on(
    database: Database, label_studio: LabelStudio, faults: Proxy
) -> None:
    """The pause outlasts the heartbeats and the grace, which are seconds here and minutes otherwise."""
    with sync_loop(database, label_studio.url, label_studio.token, through=faults.url) as loop:
        loop.settings = replace(loop.settings, heartbeat_s=0.4, pull_every_s=0.5)
        loop.push()
        faults.arm("hold request")
        loop.submit(4)
        first = Worker(loop.settings)
        assert faults.struck.wait(120)
        first.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        second = Worker(loop.settings)
        try:
            wait_until(lambda: loop.states() == {"in_review": 4}, what="the other worker's import")
            assert _ended(loop) == {"abandoned", "adopted"}
            faults.let_go.set()  # what the first one had sent arrives now
            wait_until(lambda: sorted(loop.tasks_an_output()) == [2] * 4, what="the late import")
            time.sleep(max(0.0, PAUSE_S - (time.monotonic() - began)))
            first.process.send_signal(signal.SIGCONT)
            loop.submit(3)
            wait_until(lambda: loop.states() == {"in_review": 7}, what="the next import")
            loop.pull(full=True)
            assert loop.tasks_an_output() == [1] * 7
            named = {row["label_studio_id"] for row in loop.sql("select label_studio_id from tasks")}
            assert named == {task["id"] for task in loop.tasks()}
            second.kill()
            loop.submit(2)
            wait_until(lambda: loop.states() == {"in_review": 9}, what="an import of the worker that was paused")
            assert first.end()[0] == 0
        finally:
            for worker in (first, second):
                worker.process.kill()


def _ended(loop: SyncLoop) -> set[str]:
    return {row["state"] for row in loop.sql("select state::text from batches where size = 4")}
