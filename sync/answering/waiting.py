"""Waiting: parked requests, and the outputs that each of them waits for.

One thread of the process asks Postgres, in one query for all of them, which outputs are settled. It also serves those
requests to their end, one after another: if a thousand of them are answered at once, submits keep their threads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prometheus_client import Gauge

from labelloop.access.identity import Identity
from labelloop.errors import Busy, Retriable
from labelloop.outputs.output import SETTLED
from labelloop.process import parking
from labelloop.process.parking import Parked
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops
from sync.intake.status import statuses

logger = logging.getLogger(__name__)

AT_ONCE = 100
"""Statuses that are read together."""
POLL_S = 0.25
"""Seconds between two questions to Postgres."""
MOST_OUTPUTS = 50_000
"""Outputs that all waiting requests of one process may name together."""


class ShareUsed(Exception):
    """A caller has its fair share of what may wait."""


class Waiter(Parked):
    """The ticket of a request that waits until one of its outputs is settled."""

    found: dict[str, Any] | None = None
    """The status of its one output, read when it was woken; None if the request must read for itself."""

    def __init__(
        self,
        deadline: float,
        ids: Sequence[UUID],
        *,
        one: tuple[str, str, Identity] | None = None,
        hold: bool = False,
        asked: object = None,
    ) -> None:
        super().__init__(deadline)
        self.one = one
        """The loop, the key and the caller of a request for one output."""
        self.ids = ids
        """The outputs that the request waits for; none of them was settled when it was parked."""
        self.hold = hold
        """Whether an outcome ends the waiting too."""
        self.asked = asked
        """The body of the request, which has been read and cannot be read again."""


class Waiting:
    """The waiters of one process, and the thread that wakes them."""

    def __init__(self, database: Database, parked: Gauge) -> None:
        """`parked`: gauge of the requests that wait."""
        self._database = database
        self._parked = parked
        self._lock = threading.Lock()
        self._waiters: set[Waiter] = set()
        self._outputs = 0
        self._next_turn = 0.0
        self._asked_at = float("-inf")
        self._problem: Exception | None = None
        """The failure of the last question to Postgres."""
        self._sooner = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, waiter: Waiter) -> None:
        """Wake this waiter when one of its outputs is settled, and at its deadline.

        Raises Busy if there are too many outputs, and ShareUsed if too many of them are the caller's.
        """
        with self._lock:
            taken = self._outputs + len(waiter.ids)
            if taken > MOST_OUTPUTS:
                raise Busy(f"requests that wait name {self._outputs} outputs; at most {MOST_OUTPUTS} together")
            if not parking.is_fair(taken, taken, MOST_OUTPUTS):
                own = sum(len(other.ids) for other in self._waiters if other.owner == waiter.owner)
                if not parking.is_fair(own + len(waiter.ids), taken, MOST_OUTPUTS):
                    raise ShareUsed(f"requests of this token wait for {own} outputs; others need the rest")
            self._waiters.add(waiter)
            self._outputs += len(waiter.ids)
            self._parked.set(len(self._waiters))
            if self._thread is None:  # here, because threads do not survive the fork of the services
                self._thread = threading.Thread(target=self._run, name="waiting", daemon=True)
                self._thread.start()
            if waiter.deadline < self._next_turn:
                self._sooner.set()

    def _run(self) -> None:
        while True:
            self._sooner.wait(max(0.0, self._next_turn - time.monotonic()))
            self._sooner.clear()
            try:
                self._turn()
            except Exception:  # the thread must not end: all waiters of the process depend on it
                logger.exception("waiting requests could not be served")
            with self._lock:
                self._parked.set(len(self._waiters))
                first = min((waiter.deadline for waiter in self._waiters), default=float("inf"))
                self._next_turn = min(self._asked_at + POLL_S, first) if self._waiters else time.monotonic() + POLL_S

    def _turn(self) -> None:
        """Wake the waiters whose outputs are settled, and those whose time is over."""
        with self._lock:
            waiters = [waiter for waiter in self._waiters if not waiter.is_gone]
            self._waiters = set(waiters)
            self._outputs = sum(len(waiter.ids) for waiter in waiters)
        # A turn that comes early, for a deadline, asks for nothing else.
        done = self._settled(waiters) if time.monotonic() >= self._asked_at + POLL_S else set()
        now = time.monotonic()
        ready = [waiter for waiter in waiters if waiter.deadline <= now or not done.isdisjoint(waiter.ids)]
        for start in range(0, len(ready), AT_ONCE):
            chunk = ready[start : start + AT_ONCE]
            if self._problem is None:
                self._read(chunk)
            for waiter in chunk:
                with self._lock:
                    self._waiters.discard(waiter)
                    self._outputs -= len(waiter.ids)
                waiter.wake(self._problem)

    def _read(self, waiters: Sequence[Waiter]) -> None:
        """Read the statuses for requests for one output together, in a few queries."""
        asked = defaultdict[tuple[str, Identity], dict[str, list[Waiter]]](lambda: defaultdict(list))
        for waiter in waiters:
            if waiter.one is not None:
                loop, key, reader = waiter.one
                asked[loop, reader][key].append(waiter)
        try:
            with self._database.transaction() as conn:
                for (loop, reader), keys in asked.items():
                    spec = loops.get(conn, loop)
                    for status in [] if spec is None else statuses(conn, spec, list(keys), reader):
                        for waiter in keys[status["key"]]:
                            waiter.found = status
        except Exception:  # each request then reads for itself, and answers with its own problem
            logger.exception("statuses could not be read together")

    def _settled(self, waiters: Sequence[Waiter]) -> set[UUID]:
        """Return those of the waiters' outputs that need no more waiting; none if Postgres does not tell."""
        ids = {id_ for waiter in waiters for id_ in waiter.ids}
        held = {id_ for waiter in waiters if waiter.hold for id_ in waiter.ids}
        self._problem, found = None, set[UUID]()
        try:
            if ids:
                with self._database.transaction() as conn:
                    found = settled(conn, list(ids), list(held))
        except Exception as exc:  # all waiters must still be woken at their deadlines
            if not isinstance(exc, Retriable):
                logger.exception("parked requests cannot be looked after")
            self._problem = exc
        self._asked_at = time.monotonic()
        return found


def settled(conn: Conn, ids: Sequence[UUID], held: Sequence[UUID]) -> set[UUID]:
    """Return which of the outputs `ids` are settled, and which of `held` have an outcome."""
    rows = conn.execute(
        """
        select id from outputs where id = any(%(ids)s) and state = any(%(settled)s::output_state[])
        union all select output_id from outcomes where output_id = any(%(held)s)
        """,
        {"ids": list(ids), "held": list(held), "settled": sorted(SETTLED)},
    )
    return {row["id"] for row in rows}
