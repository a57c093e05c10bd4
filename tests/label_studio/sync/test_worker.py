"""The sync worker as a real process, killed by SIGKILL where it hurts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from labelloop.store.database import Database
from labelloop.store.tables import jobs
from tests.support.network.faultproxy import Proxy, proxy
from tests.support.network.tcp import Line
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until
from tests.support.workers.sync_worker import HOLD, LOCK, Worker, held

AWAY_S = 3


@pytest.fixture
def faults(label_studio: LabelStudio) -> Iterator[Proxy]:
    with proxy(label_studio.url) as server:
        yield server


@pytest.fixture
def loop(faults: Proxy, database: Database, label_studio: LabelStudio) -> Iterator[SyncLoop]:
    with sync_loop(database, label_studio.url, label_studio.token, through=faults.url) as loop:
        loop.settings = replace(loop.settings, heartbeat_s=0.4, pull_every_s=0.5)
        loop.push()
        loop.do(HOLD)
        yield loop


def test_killed_in_the_middle_of_a_push_every_output_is_one_task(loop: SyncLoop, faults: Proxy) -> None:
    """Four kills, each followed by a new worker that finds what the dead one left."""
    total = 0

    def submit() -> None:
        nonlocal total
        total += len(loop.submit(4))

    def stuck() -> bool:
        """Somebody waits at the point that is held."""
        return bool(
            loop.sql("select 1 from pg_locks where locktype = 'advisory' and objid = %(id)s and not granted", id=LOCK)
        )

    def healed() -> None:
        wait_until(lambda: loop.states() == {"in_review": total}, what="every output in review")
        assert loop.tasks_an_output() == [1] * total
        assert loop.sql("select count(*) as n from batch_items")[0]["n"] == 0
        assert loop.sql("select count(*) as n from pool")[0]["n"] == 0

    worker = Worker(loop.settings)
    try:
        # written down, not yet sent
        with held(loop, "update", "batches"):
            submit()
            wait_until(stuck, what="a batch about to be sent")
            assert [row["state"] for row in loop.sql("select state::text from batches")] == ["intent"]
            worker.kill()
        worker = Worker(loop.settings)
        healed()

        # sent, and it never arrives
        faults.arm("hold request")
        submit()
        assert faults.struck.wait(120)
        worker.kill()
        before = swept(loop)
        worker = Worker(loop.settings)
        wait_until(lambda: loop.states() == {"in_review": total}, what="the batch given up and sent anew")
        wait_until(lambda: swept(loop) != before, what="the first sweep of this worker, and the last for a while")
        # ... or so it seemed: it takes effect after all, and the sweep finds two tasks where one belongs
        faults.let_go.set()
        wait_until(lambda: max(loop.tasks_an_output()) == 2, what="the late effect")
        loop.pull(full=True)
        healed()

        # it arrives, and nobody is there to hear so
        faults.arm("hold reply")
        submit()
        assert faults.struck.wait(120)
        worker.kill()
        faults.let_go.set()
        worker = Worker(loop.settings)
        healed()

        # in the middle of writing down what arrived
        with held(loop, "insert", "tasks"):
            submit()
            wait_until(stuck, what="an adoption")
            worker.kill()
        worker = Worker(loop.settings)
        healed()

        status, seconds, said = worker.end()
        assert status == 0
        assert seconds < 30
        assert "Traceback" not in said
    finally:
        worker.process.kill()


def swept(loop: SyncLoop) -> list[dict[str, Any]]:
    """Return the time of the last sweep. A worker sweeps at its first pull, and then every 15 minutes."""
    return loop.sql("select swept_at from projects")


def test_a_worker_lives_through_the_absence_of_label_studio_and_of_postgres(loop: SyncLoop, faults: Proxy) -> None:
    """It pulls by itself before and after, with no doorbell; and there is no storm of log lines in between."""
    server = urlsplit(loop.database.url)
    line = Line(server.hostname or "", server.port or 5432)
    through = server._replace(netloc=f"{server.username}:{server.password}@127.0.0.1:{line.port}").geturl()
    worker = Worker(replace(loop.settings, database_url=through))
    try:
        loop.submit(2)
        wait_until(lambda: loop.states() == {"in_review": 2}, what="the push")
        faults.away, began = True, time.monotonic()
        line.cut()
        first, second = (task["id"] for task in loop.tasks())
        loop.annotate(first, "dog")
        time.sleep(AWAY_S)
        faults.away = False
        line.mend()
        wait_until(lambda: loop.states()["answered"] == 1, what="the first answer")
        away_s = time.monotonic() - began  # a busy machine takes its time to answer the task
        loop.annotate(second, "cat")
        wait_until(lambda: loop.states()["answered"] == 2, what="the second answer")
        status, _, said = worker.end()
        assert status == 0
        assert "Traceback" not in said
        assert len(said.splitlines()) < 10 + 4 * away_s, said
    finally:
        worker.process.kill()
        line.close()


def test_a_worker_looks_a_while_after_a_ring_whether_or_not_it_looks_by_itself(loop: SyncLoop) -> None:
    with loop.database.transaction() as conn:  # else it might be looked for the first look before that is asked for
        jobs.ask(conn, jobs.PULL, loop.spec.name)
    worker = Worker(replace(loop.settings, pull_every_s=3600.0))
    try:
        loop.submit(2)
        wait_until(lambda: loop.states() == {"in_review": 2}, what="the push")
        looks = "select 1 from procrastinate_jobs where task_name = %(job)s"
        wait_until(lambda: not loop.sql(looks, job=jobs.PULL), what="the only look by itself")
        loop.annotate(loop.tasks()[0]["id"], "dog")
        with loop.database.transaction() as conn:
            assert jobs.ask(conn, jobs.PULL, loop.spec.name, in_s=0.5)
        wait_until(lambda: loop.states()["answered"] == 1, what="the answer")
    finally:
        worker.kill()
