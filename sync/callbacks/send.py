"""Sending: claim a delivery, send it outside of any transaction, store the result. At least once, in no set order.

Each callback has at most one try in progress in a worker, and none waits for another: a receiver that never answers
costs itself its place, and nobody else. A worker that is killed during a try leaves the delivery to the next one, which
sends it again with the same webhook-id when the lease has passed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from labelloop.errors import Retriable
from labelloop.process.settings import Settings
from labelloop.process.worker import one_line
from labelloop.store.callbacks import deliveries
from labelloop.store.callbacks.deliveries import Claimed, DeliveryState
from labelloop.store.database import Conn, Database
from sync.callbacks import address, payload
from sync.callbacks.post import GONE, Post, Tried

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
"""Seconds between two looks for deliveries that are due."""
CLEAN_EVERY_S = 3600.0
MOST_AT_ONCE = 64
"""Callbacks with a try in progress at the same time; the longest-waiting ones come first."""
TURN_S = 5.0
"""Seconds after which a callback with a long backlog gives its place to the others."""
REST_S, MOST_REST_S = 1.0, 60.0
"""Seconds that a callback rests after a failed try: doubled at each failure in a row, up to the second."""
Row = TypeVar("Row")


class Sender:
    """Sends for one worker. `look` returns at once; what it starts goes on in the worker's event loop."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._allowed = address.private(settings)
        self._post: Post | None = None
        self._threads = ThreadPoolExecutor(2, "callbacks")
        """For Postgres. They are not those of the jobs, which may all wait for Label Studio."""
        self._busy: dict[UUID, asyncio.Task[None]] = {}
        self._failures: dict[UUID, int] = {}
        """Failures in a row."""
        self._rests_until: dict[UUID, float] = {}

    async def look(self) -> None:
        """Start a turn for each callback that has a delivery due and has none in progress."""
        try:
            due = await self._store(deliveries.due)
        except Retriable:  # Postgres is away, which the job queue reports
            return
        for callback_id in due:
            if len(self._busy) >= MOST_AT_ONCE:
                return
            if callback_id not in self._busy and time.monotonic() >= self._rests_until.get(callback_id, 0.0):
                self._busy[callback_id] = asyncio.create_task(self._turn(callback_id))

    async def clean(self) -> None:
        """Delete the rows of deliveries that were made long ago."""
        await self._store(deliveries.delete_old)

    async def finish(self) -> None:
        """Wait until nothing is in progress."""
        await asyncio.gather(*self._busy.values())

    async def _turn(self, callback_id: UUID) -> None:
        """Send what is due for one callback, until a try fails or the turn is over."""
        try:
            ends = time.monotonic() + TURN_S
            while time.monotonic() < ends and await self._next(callback_id):
                pass
        except Exception as exc:  # Postgres is away, or a defect of ours: the lease passes, and it is sent again
            logger.warning("callback %s is tried again: %s", callback_id, one_line(exc))
            self._rest(callback_id)
        finally:
            del self._busy[callback_id]

    async def _next(self, callback_id: UUID) -> bool:
        """Make one try; False if none is due, or if it failed."""
        one = await self._store(lambda conn: deliveries.claim(conn, callback_id))
        if one is None:
            return False
        tried = await self._try(one)
        await self._store(lambda conn: record(conn, one, tried))
        if tried.error is None:
            self._failures.pop(callback_id, None)
            return True
        self._rest(callback_id)
        return False

    async def _try(self, one: Claimed) -> Tried:
        try:
            body = await self._store(lambda conn: body_of(conn, one))
        except Retriable:
            raise
        except Exception as exc:  # it would fail again and again, and hold up the others
            return Tried(None, f"gets nothing, because labelloop cannot write the body: {one_line(exc)}"[:500])
        if self._post is None:
            self._post = Post(self._allowed)
        return await self._post(one.url, one.secret, one.id, body)

    def _rest(self, callback_id: UUID) -> None:
        n = self._failures.get(callback_id, 0)
        self._failures[callback_id] = n + 1
        self._rests_until[callback_id] = time.monotonic() + min(MOST_REST_S, REST_S * 2.0 ** min(n, 10))

    async def _store(self, statement: Callable[[Conn], Row]) -> Row:
        """Run it in a transaction of its own, in a thread."""

        def run() -> Row:
            with self._database.transaction() as conn:
                return statement(conn)

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)


def body_of(conn: Conn, one: Claimed) -> str:
    """Return the text to send. It is written before the first try and then stays, so that one id means one text."""
    if one.body is not None:
        return one.body
    body = payload.body(conn, one)
    deliveries.write_body(conn, one.id, body)
    return body


def record(conn: Conn, one: Claimed, tried: Tried) -> None:
    """Store the result of a try."""
    if tried.error is None:
        assert tried.status is not None
        deliveries.delivered(conn, one.id, tried.status)
        return
    if tried.status == GONE:
        deliveries.gone(conn, one, tried.error)
        logger.error("callback %s is paused: its receiver %s", one.callback_id, tried.error)
        return
    state = deliveries.failed(conn, one, tried.status, tried.error, tried.retry_after_s)
    if state == DeliveryState.DEAD:
        logger.error("delivery %s of callback %s is given up: its receiver %s", one.id, one.callback_id, tried.error)
    else:
        logger.warning("callback %s, try %d of %s: its receiver %s", one.callback_id, one.tries, one.id, tried.error)
