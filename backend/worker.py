"""The backend's worker: `python -m backend.worker`. Trains, prelabels, and heals what a killed worker left behind."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable
from contextlib import suppress
from datetime import UTC, datetime

from procrastinate import App

from backend.decide.shadow import ask_for_shadows, in_shadow
from backend.report.mlflow_export import export_in_child
from backend.score.engines import named
from backend.score.prelabel import prelabel, who
from backend.train.child import Children
from backend.train.due import ask_for_due
from backend.train.retrain import heal, retrain
from labelloop.errors import Unreachable
from labelloop.process import heartbeat, log
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import exports, jobs, loops, prelabels
from labelloop.versions.version import VersionPair

CONCURRENCY = 3
"""A loop that trains does not keep another from its prelabels; each job of a loop has its own lock."""
LOOK_EVERY_S = 5.0
SLIPPED_EVERY = 6
"""Looks, of which one is for outputs without today's prelabel."""
DUE_EVERY, DRIFT_EVERY = 6, 60
"""Looks, of which one is for runs that are due, and one for drift too: that reads all outputs."""
ASK_AGAIN_AFTER_S = 60.0
"""Prelabels that cannot be made (a damaged file), and exports to an MLflow that is away, are not tried more often."""
logger = logging.getLogger(__name__)


def make_app(database: Database, settings: Settings, children: Children, stop: threading.Event) -> App:
    """The queue's app with the backend's jobs. None is retried by the queue: the periodic look asks anew."""
    app = jobs.worker_app(settings.database_url, jobs.BACKEND_QUEUE)

    @app.task(name=jobs.RETRAIN, queue=jobs.BACKEND_QUEUE)
    def _retrain(loop: str) -> None:
        retrain(database, settings, loop, stop, children)
        if settings.mlflow_tracking_uri:
            with database.transaction() as conn:
                jobs.ask(conn, jobs.EXPORT, loop)

    @app.task(name=jobs.PRELABEL, queue=jobs.BACKEND_QUEUE)
    def _prelabel(loop: str) -> None:
        on, cluster = named(settings.rescore_on)
        prelabel(database, loop, settings.models_dir, stop, on=on, cluster=cluster, settings=settings)

    @app.task(name=jobs.EXPORT, queue=jobs.BACKEND_QUEUE)
    def _export(loop: str) -> None:
        if settings.mlflow_tracking_uri:
            export_in_child(settings, loop, stop)

    @app.task(name=jobs.SHADOW, queue=jobs.BACKEND_QUEUE)
    def _shadow(loop: str) -> None:
        in_shadow(database, loop, settings.models_dir, stop, settings)

    return app


async def serve(settings: Settings, stop: threading.Event, stopping: asyncio.Event) -> None:
    """Work until `stopping` is set, through a Postgres that is away and back again.

    `stop` says the same to the threads of the jobs: they kill their children and give their runs back.
    """
    with Database(settings.database_url) as database:
        children = Children(settings)
        while not stopping.is_set():
            try:
                await _work(make_app(database, settings, children, stop), database, settings, stopping)
            except Exception as exc:
                logger.warning("the queue is away: %s: %s", type(exc).__name__, exc)
            if not stopping.is_set():
                await _sleep(stopping, 2)


async def _work(app: App, database: Database, settings: Settings, stopping: asyncio.Event) -> None:
    async with app.open_async():
        tasks = [
            asyncio.create_task(
                app.run_worker_async(
                    queues=[jobs.BACKEND_QUEUE],
                    concurrency=CONCURRENCY,
                    install_signal_handlers=False,
                    update_heartbeat_interval=settings.heartbeat_s,
                    stalled_worker_timeout=3 * settings.heartbeat_s,
                    delete_jobs="successful",
                )
            ),
            asyncio.create_task(stopping.wait()),
        ]
        beside = [
            asyncio.create_task(_look_after(app, database, settings, stopping)),
            asyncio.create_task(heartbeat.beat(settings.heartbeat_file, settings.heartbeat_s)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in [*tasks, *beside]:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]


async def _look_after(app: App, database: Database, settings: Settings, stopping: asyncio.Event) -> None:
    """Every few seconds: jobs and runs whose worker died, runs without a job, runs that are due, prelabels."""
    asked: dict[str, float] = {}
    exports_asked: dict[str, float] = {}
    looks = 0
    while not stopping.is_set():
        with suppress(Unreachable):  # then the others need not be tried
            await _try(jobs.reap(app, jobs.BACKEND_QUEUE, 3 * settings.heartbeat_s))
            await _try(asyncio.to_thread(heal, database))
            await _try(asyncio.to_thread(ask_for_shadows, database))
            if looks % SLIPPED_EVERY == 0:
                await _try(asyncio.to_thread(ask_for_prelabels, database, asked, time.monotonic()))
                if settings.mlflow_tracking_uri:
                    await _try(asyncio.to_thread(ask_for_exports, database, exports_asked, time.monotonic()))
            if looks % DUE_EVERY == 0:
                drift = looks % DRIFT_EVERY == 0
                await _try(asyncio.to_thread(ask_for_due, database, datetime.now(UTC), drift=drift))
        looks += 1
        await _sleep(stopping, LOOK_EVERY_S)


async def _try(look: Awaitable[object]) -> None:
    """A look that fails keeps none of the others from theirs. Raises Unreachable where Postgres is away."""
    try:
        await look
    except Exception as exc:
        logger.warning("could not look after the jobs: %s: %s", type(exc).__name__, exc)
        if isinstance(exc, Unreachable):
            raise


def ask_for_prelabels(database: Database, asked: dict[str, float], now: float) -> None:
    """For outputs that slipped past: they were on their way to Label Studio while the others were prelabelled."""
    with database.transaction() as conn:
        for loop in loops.names(conn):
            if now - asked.get(loop, -ASK_AGAIN_AFTER_S) >= ASK_AGAIN_AFTER_S and prelabels.any_stale(
                conn, loop, VersionPair.of(*who(conn, loop))
            ):
                asked[loop] = now
                jobs.ask(conn, jobs.PRELABEL, loop)


def ask_for_exports(database: Database, asked: dict[str, float], now: float) -> None:
    """For what MLflow lacks: it was away, a person has decided, or its address was only just named."""
    with database.transaction() as conn:
        for loop in loops.names(conn):
            if now - asked.get(loop, -ASK_AGAIN_AFTER_S) >= ASK_AGAIN_AFTER_S and exports.any_pending(conn, loop):
                asked[loop] = now
                jobs.ask(conn, jobs.EXPORT, loop)


async def _until_told(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    settings.require("database_url")
    stop, stopping = threading.Event(), asyncio.Event()

    def end() -> None:
        stop.set()
        stopping.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, end)
    await serve(settings, stop, stopping)


async def _sleep(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def main() -> int:
    settings = Settings.from_env(os.environ)
    log.configure(settings.log)
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    asyncio.run(_until_told(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
