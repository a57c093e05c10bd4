"""The runtime of the workers of both rooms: jobs by name, periodic checks, heartbeat, back-off, an orderly end.

Postgres may be away at any time: the worker says so in a line and continues when Postgres is back. It may be killed at
any point: the jobs that it leaves behind are returned to the queue when its heartbeat has been missing for a while.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from procrastinate import App

from labelloop.errors import LabelloopError, Retriable, Unreachable
from labelloop.process import heartbeat
from labelloop.process.settings import Settings
from labelloop.store.tables import jobs

logger = logging.getLogger(__name__)

Job = Callable[[str], None]
"""Do one job for the loop of this name, in a thread of the worker."""
BEATS_MISSED = 3
"""A worker that has missed this many heartbeats is taken for dead, and its jobs are returned to the queue."""
PAUSE_S = 2.0
"""Seconds before the worker tries again after it lost Postgres."""
POLL_S = 1.0
"""Seconds between two polls of the queue: Postgres notifies of a new job, but not of one that was returned."""
NOISY = ("procrastinate", "psycopg.pool")
"""Loggers that fill pages while Postgres is away; the worker reports the same in one line."""


@dataclass(frozen=True, slots=True)
class Check:
    """A periodic check. Checks run one after the other, in the order of their table, the first time at the start."""

    name: str
    """Names it in the log."""
    every_s: float
    run: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Duties:
    """The jobs and periodic checks of one worker."""

    queue: str
    jobs: Mapping[str, Job]
    """By the job's name in labelloop/store/tables/jobs.py."""
    checks: Sequence[Check]
    concurrency: int
    """Jobs at the same time. Two jobs of the same name and loop never run at the same time."""
    on_stop: Callable[[], None] = field(default=lambda: None)
    """Called once, at SIGTERM or SIGINT, to tell the threads of the jobs."""
    on_end: Callable[[], None] = field(default=lambda: None)
    """Called once, after the last job has ended, to end what the jobs left for the next ones."""
    end_within_s: float | None = None
    """Seconds after SIGTERM at which the process exits, jobs or no jobs; None if it waits for all of them."""


def in_thread(function: Callable[..., object], *args: object, **named: object) -> Callable[[], Awaitable[object]]:
    """Return what a Check runs: this call, in a thread."""
    return lambda: asyncio.to_thread(function, *args, **named)


def run(settings: Settings, duties: Duties) -> None:
    """Work until SIGTERM or SIGINT."""
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    asyncio.run(_until_signalled(settings, duties))


async def _until_signalled(settings: Settings, duties: Duties) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        duties.on_stop()
        if duties.end_within_s is not None:
            # A thread that waits for an answer cannot be interrupted; leaving it is no worse than kill -9.
            loop.call_later(duties.end_within_s, os._exit, 0)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    await serve(settings, duties, stopping)


async def serve(settings: Settings, duties: Duties, stopping: asyncio.Event) -> None:
    """Work until `stopping` is set. Postgres may go and come back meanwhile."""
    asyncio.get_running_loop().set_exception_handler(_log_lost_task)
    try:
        while not stopping.is_set():
            try:
                await _work(settings, duties, stopping)
            except Exception as exc:
                logger.warning("the job queue cannot be reached, tried again: %s", one_line(exc))
            await _sleep(stopping, PAUSE_S)
    finally:
        duties.on_end()


def make_app(settings: Settings, duties: Duties) -> App:
    """Return the queue's app with the jobs of these duties. The queue retries none: the periodic checks ask again."""
    app = jobs.worker_app(settings.database_url, duties.queue)
    for name, job in duties.jobs.items():
        app.task(name=name, queue=duties.queue)(reported(name, job))
    return app


def reported(name: str, job: Job) -> Job:
    """Return the job so that it logs why it failed: one line, or a traceback if the reason is a defect of ours."""

    def run_job(loop: str) -> None:
        try:
            job(loop)
        except Retriable as exc:
            logger.warning("%s of loop %s is tried again: %s", name, loop, one_line(exc))
        except LabelloopError as exc:
            logger.error("%s of loop %s cannot continue: %s", name, loop, exc)
        except Exception:
            logger.exception("%s of loop %s failed", name, loop)

    return run_job


async def _work(settings: Settings, duties: Duties, stopping: asyncio.Event) -> None:
    app = make_app(settings, duties)
    beat_s = settings.heartbeat_s
    reap = Check("jobs of dead workers", beat_s, lambda: jobs.reap(app, duties.queue, BEATS_MISSED * beat_s))
    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=[duties.queue],
                concurrency=duties.concurrency,
                install_signal_handlers=False,
                fetch_job_polling_interval=POLL_S,
                update_heartbeat_interval=beat_s,
                stalled_worker_timeout=BEATS_MISSED * beat_s,
                delete_jobs="always",
            )
        )
        others = [
            asyncio.create_task(check_all([reap], stopping)),
            asyncio.create_task(check_all(duties.checks, stopping)),
            asyncio.create_task(heartbeat.beat(settings.heartbeat_file, beat_s)),
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


async def check_all(checks: Sequence[Check], stopping: asyncio.Event) -> None:
    """Run each check when it is due, until `stopping` is set.

    A check that fails keeps no other from running, unless Postgres is away, where each would wait for the same.
    """
    due = dict.fromkeys((check.name for check in checks), 0.0)
    while not stopping.is_set():
        for check in checks:
            if time.monotonic() < due[check.name]:
                continue
            due[check.name] = time.monotonic() + check.every_s
            try:
                await check.run()
            except Exception as exc:
                logger.warning("periodic check failed (%s): %s", check.name, one_line(exc))
                if isinstance(exc, Unreachable):
                    await _sleep(stopping, PAUSE_S)
                    break
        await _sleep(stopping, min(due.values()) - time.monotonic())


def one_line(exc: Exception) -> str:
    """Return the error as one line; Postgres writes several."""
    return " ".join(f"{type(exc).__name__}: {exc}".split())


def _log_lost_task(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log a task of the queue that failed without anybody waiting for it: it could not record how its job ended."""
    exc = context.get("exception")
    logger.warning("job queue: %s", one_line(exc) if isinstance(exc, Exception) else context["message"])


async def _sleep(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep, or return at once when `stopping` is set."""
    try:
        await asyncio.wait_for(stopping.wait(), max(0.0, seconds))
    except TimeoutError:
        return
