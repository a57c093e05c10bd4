"""Parked requests are woken, whatever Postgres does."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

from prometheus_client import CollectorRegistry, Gauge

from labelloop.errors import Retriable
from labelloop.store.database import Database
from sync.answering.waiting import Waiter, Waiting
from sync.callers import INTAKE


def parked() -> Gauge:
    return Gauge("parked", "Requests that wait", registry=CollectorRegistry())


def test_a_waiter_is_woken_at_its_deadline_although_postgres_is_away() -> None:
    with Database("postgresql://127.0.0.1:9/nothing", wait_s=0.2) as database:
        waiting, served = Waiting(database, parked()), threading.Event()
        deadline = time.monotonic() + 0.5
        waiter = Waiter(deadline, [uuid4()], one=("pets", "a", INTAKE))
        assert waiter.park(served.set)
        waiting.add(waiter)
        assert served.wait(10)
        assert time.monotonic() >= deadline
    assert isinstance(waiter.problem, Retriable)
    assert waiter.found is None


def test_a_waiter_whose_client_is_gone_is_forgotten() -> None:
    with Database("postgresql://127.0.0.1:9/nothing", wait_s=0.2) as database:
        waiting, served = Waiting(database, parked()), threading.Event()
        waiter = Waiter(time.monotonic() + 0.3, [uuid4()])
        assert waiter.park(served.set)
        waiting.add(waiter)
        assert waiter.leave()
        assert not served.wait(1.5)
        assert waiting._waiters == set()
