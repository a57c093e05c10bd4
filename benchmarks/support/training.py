"""Training in the background: a loop of real digits that is trained again and again, as it is in the product."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from benchmarks.support.items import digits_loop
from benchmarks.support.rooms import House, wait_until
from labelloop.store.tables import jobs, runs

LOOP = "trained"
ANSWERS = 1_000


def prepare(our: House) -> None:
    """The loop that will be trained: none of the benchmark's own, so that no new champion disturbs what is measured."""
    with our.database.transaction() as conn:
        digits_loop(conn, LOOP, ANSWERS, ANSWERS)
        conn.execute("delete from pool where loop = %(loop)s", {"loop": LOOP})


@contextmanager
def training(our: House) -> Iterator[psutil.Popen]:
    """The backend's worker, with one run after the other for the length of the `with`; the last one ends before it."""
    with our.working("backend.worker") as worker:
        stop = threading.Event()
        asking = threading.Thread(target=_ask, args=(our, stop))
        asking.start()
        try:
            wait_until(lambda: _status(our) == "running", 300, what="the training run")
            yield worker
        finally:
            stop.set()
            asking.join()
        # A run that is left open would be done by the next worker, in a block that is to be free of training.
        wait_until(lambda: _status(our) not in ("queued", "running"), 300, "the end of the last run")


def runs_done(our: House) -> int:
    with our.database.transaction() as conn:
        return sum(run.finished_at is not None for run in runs.latest(conn, LOOP, 10_000))


def _ask(our: House, stop: threading.Event) -> None:
    seed = runs_done(our)
    while not stop.wait(0.2):
        with our.database.transaction() as conn:
            if runs.request(conn, LOOP, "benchmark", seed=seed) is not None:
                jobs.ask(conn, jobs.RETRAIN, LOOP)
                seed += 1


def _status(our: House) -> str | None:
    with our.database.transaction() as conn:
        newest = runs.latest(conn, LOOP, 1)
    return newest[0].status if newest else None
