"""The sync worker: `python -m sync.worker`. Pushes and pulls when asked, and looks by itself every few seconds.

Label Studio or Postgres may be away: it says so in a line, and goes on when they are back. It may be killed at any
point: the next one goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from procrastinate import App

from labelloop.errors import LabelloopError, Refused, Retriable
from labelloop.labelstudio.gateway import Gateway
from labelloop.process import heartbeat, log
from labelloop.process.settings import Settings
from labelloop.queue.order import MAX_BATCH
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops
from sync.project.project import ensure_project
from sync.pull.pull import CHECK_EVERY_S, Memory, pull
from sync.push.push import push

logger = logging.getLogger(__name__)

TOKEN = "LABELLOOP_LABEL_STUDIO_TOKEN"
CONCURRENCY = 4
BEATS_MISSED = 3
"""A worker that missed so many heartbeats is dead, and its jobs are given to others."""
SWEEP_EVERY_S = 900.0
CONNECT_EVERY_S = 30.0
"""Between two tries to connect what could not be connected at once, such as a backend that starts later than we do."""
REFILL = 0.3
"""While people answer, the window is filled again when this share of it is free: an import of 15 tasks costs Label
Studio twice what an import of one does."""
QUIET_S = 20.0
"""Nobody has answered for so long: then it is filled to the last place."""
END_WITHIN_S = 8.0
"""After SIGTERM a job may finish within this time. What is cut off is found again as if it had been killed."""
PAUSE_S = 2.0
POLL_S = 1.0
"""A job that was released rings no bell."""


class Room:
    """What the jobs of one process share. Jobs of one loop may run beside each other, those of one kind do not."""

    def __init__(self, settings: Settings, database: Database, gateway: Gateway) -> None:
        self.settings, self.database, self.gateway = settings, database, gateway
        self._token = settings.label_studio_token
        self._connect_at: dict[str, float] = {}
        self._check_at: dict[str, float] = {}
        self._sweep_at: dict[str, float] = {}
        self._memories: dict[str, Memory] = {}
        self._looked_at: dict[str, float] = {}
        self._answered_at: dict[str, float] = {}

    def push(self, loop: str) -> None:
        self._do(jobs.PUSH, loop, self._push)

    def pull(self, loop: str) -> None:
        self._do(jobs.PULL, loop, self._pull)

    def ask_for_all(self) -> None:
        """One look at every loop, in case that a doorbell or a job was lost; none where one was taken just now."""
        since = time.monotonic() - 0.8 * self.settings.pull_every_s
        with self.database.transaction() as conn:
            for loop in loops.names(conn):
                if self._looked_at.get(loop, -math.inf) <= since:
                    jobs.ask(conn, jobs.PULL, loop)
                jobs.ask(conn, jobs.PUSH, loop)

    def _push(self, spec: LoopSpec) -> None:
        check = _due(self._check_at, spec.name, CHECK_EVERY_S)
        busy = time.monotonic() - self._answered_at.get(spec.name, -math.inf) < QUIET_S
        try:
            push(
                self.database,
                self.gateway,
                spec,
                self.settings,
                check=check,
                at_least=_batch(spec.queue.window) if busy else 1,
            )
        except Exception:
            self._check_at.pop(spec.name, None)
            raise
        finally:
            if _due(self._connect_at, spec.name, CONNECT_EVERY_S):
                self._connect(spec)

    def _connect(self, spec: LoopSpec) -> None:
        """After the push, which is what people wait for; but also when the push failed, which it may well set right."""
        missing = ensure_project(self.database, self.gateway, spec, self.settings).missing
        if missing:
            logger.info("loop %s: not connected yet: %s", spec.name, ", ".join(missing))
        else:
            self._connect_at[spec.name] = time.monotonic() + SWEEP_EVERY_S

    def _pull(self, spec: LoopSpec) -> None:
        full = _due(self._sweep_at, spec.name, SWEEP_EVERY_S)
        memory = self._memories.setdefault(spec.name, Memory())
        self._looked_at[spec.name] = time.monotonic()  # before the look: what rings meanwhile asks for another
        try:
            if pull(self.database, self.gateway, spec, full=full, memory=memory).outputs:
                self._answered_at[spec.name] = time.monotonic()
        except Exception as exc:
            self._memories.pop(spec.name, None)  # a job that was taken for dead may have raised beside this one
            self._looked_at.pop(spec.name, None)
            if full and isinstance(exc, Retriable):
                self._sweep_at.pop(spec.name, None)
            raise

    def _do(self, job: str, loop: str, hop: Callable[[LoopSpec], None]) -> None:
        """A job that cannot be done now is not tried again by itself: the next look asks for it."""
        try:
            with self.database.transaction() as conn:
                spec = loops.at_work(conn, loop)
            if spec is not None:
                hop(spec)
        except Retriable as exc:
            logger.warning("%s of loop %s is tried again: %s", job, loop, _line(exc))
        except LabelloopError as exc:
            if isinstance(exc, Refused) and exc.status == 401 and self._take_new_token():
                return
            logger.error("%s of loop %s cannot go on: %s", job, loop, exc)
        except Exception:
            logger.exception("%s of loop %s failed", job, loop)

    def _take_new_token(self) -> bool:
        """Whether another token than the one that Label Studio refuses stands where settings are read; it is used now.

        What only the environment says cannot change while the process runs.
        """
        try:
            now = Settings.from_env(os.environ)
            if now.label_studio_token == self._token:
                only_here = TOKEN in os.environ and TOKEN + "_FILE" not in os.environ
                logger.error(
                    "Label Studio refuses LABELLOOP_LABEL_STUDIO_TOKEN: %s",
                    "set another and start this worker again, because only its environment names it"
                    if only_here
                    else "put another where it stands, in settings.env or the secret's file; it is taken by itself",
                )
                return False
            self.gateway = Gateway(now.label_studio_url, now.label_studio_token)
        except LabelloopError as exc:
            logger.error("the new settings cannot be used: %s", exc)
            return False
        self._token = now.label_studio_token
        for at in (self._connect_at, self._check_at, self._looked_at, self._sweep_at):
            at.clear()  # what was refused is due again
        logger.info("Label Studio refuses the token; the new one is used from now on")
        return True


def _batch(window: int) -> int:
    """How many places of a window must be free before it is filled again, while people answer."""
    return min(MAX_BATCH, math.ceil(REFILL * window))  # a push never counts more free places than one import fills


def _due(at: dict[str, float], loop: str, every_s: float) -> bool:
    """Whether the loop's time has come; if so, the next is set."""
    now = time.monotonic()
    if now < at.get(loop, 0.0):
        return False
    at[loop] = now + every_s
    return True


def make_app(room: Room) -> App:
    app = jobs.worker_app(room.settings.database_url, jobs.SYNC_QUEUE)
    app.task(name=jobs.PUSH, queue=jobs.SYNC_QUEUE)(room.push)
    app.task(name=jobs.PULL, queue=jobs.SYNC_QUEUE)(room.pull)
    return app


async def serve(room: Room) -> None:
    """Work until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        # A thread that waits for Label Studio cannot be interrupted; leaving it is no worse than kill -9.
        loop.call_later(END_WITHIN_S, os._exit, 0)

    loop.set_exception_handler(_forgotten)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    while not stopping.is_set():
        try:
            await _work(room, stopping)
        except Exception as exc:
            logger.warning("the job queue is away, tried again: %s", _line(exc))
        await _sleep(stopping, PAUSE_S)


async def _work(room: Room, stopping: asyncio.Event) -> None:
    beat_s = room.settings.heartbeat_s
    app = make_app(room)
    async with app.open_async():
        await jobs.reap(app, jobs.SYNC_QUEUE, BEATS_MISSED * beat_s)
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=[jobs.SYNC_QUEUE],
                concurrency=CONCURRENCY,
                install_signal_handlers=False,
                fetch_job_polling_interval=POLL_S,
                update_heartbeat_interval=beat_s,
                stalled_worker_timeout=BEATS_MISSED * beat_s,
                delete_jobs="always",
            )
        )
        others = [
            asyncio.create_task(_every(stopping, room.settings.pull_every_s, _ask, room)),
            asyncio.create_task(_every(stopping, beat_s, _reap, app, beat_s)),
            asyncio.create_task(heartbeat.beat(room.settings.heartbeat_file, beat_s)),
            asyncio.create_task(stopping.wait()),
        ]
        try:
            await asyncio.wait([worker, others[-1]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in [worker, *others]:
                task.cancel()
            ended = await asyncio.gather(worker, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]


async def _ask(room: Room) -> None:
    await asyncio.to_thread(room.ask_for_all)


async def _reap(app: App, beat_s: float) -> None:
    await jobs.reap(app, jobs.SYNC_QUEUE, BEATS_MISSED * beat_s)


async def _every(stopping: asyncio.Event, seconds: float, do: Callable[..., Awaitable[None]], *args: object) -> None:
    while not stopping.is_set():
        try:
            await do(*args)
        except Exception as exc:
            logger.warning("a look is missed: %s", _line(exc))
        await _sleep(stopping, seconds)


def _forgotten(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A task of the queue that failed and that nobody waits for: it could not write down how its job ended."""
    exc = context.get("exception")
    logger.warning("of the job queue: %s", _line(exc) if isinstance(exc, Exception) else context["message"])


def _line(exc: Exception) -> str:
    """Postgres speaks in several lines."""
    return " ".join(f"{type(exc).__name__}: {exc}".split())


async def _sleep(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def main() -> int:
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    for noisy in ("procrastinate", "psycopg.pool"):  # what they say of a Postgres that is away fills pages
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    settings.require("database_url", "label_studio_url", "label_studio_token")
    gateway = Gateway(settings.label_studio_url, settings.label_studio_token)
    with Database(settings.database_url) as database:
        asyncio.run(serve(Room(settings, database, gateway)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
