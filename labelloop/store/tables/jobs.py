"""Jobs between the rooms: names, queues, and how to request one inside a transaction.

The rooms do not import each other; they name each other's jobs here. A job is a request to check a loop and carries no
data. A job that is requested twice runs once (queueing_lock). A lost job is requested again by a periodic check.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Status

from labelloop.spec.loop import LoopSpec
from labelloop.store.database import DEADLINES, Conn
from labelloop.store.questions import new_answers
from labelloop.store.tables import runs

SYNC_QUEUE = "sync"
BACKEND_QUEUE = "backend"
PUSH = "sync.push"
PULL = "sync.pull"
OPINIONS = "sync.opinions"
DECISIONS = "sync.decisions"
RETRAIN = "backend.retrain"
PRELABEL = "backend.prelabel"
EXPORT = "backend.export"
ASSESS = "backend.assess"
SHADOW = "backend.shadow"
EMBED = "backend.embed"
EMBED_IN_S = 2.0
"""Seconds from an intake to the look for texts without a vector, so that many intakes need one look."""
WORKER_CONNECTIONS = 4
"""Largest number of connections for the job queue of one worker, beside those of its Database."""
_QUEUES = dict.fromkeys((PUSH, PULL, OPINIONS, DECISIONS), SYNC_QUEUE) | dict.fromkeys(
    (RETRAIN, PRELABEL, EXPORT, ASSESS, SHADOW, EMBED), BACKEND_QUEUE
)

# Asking needs no connection of the queue's own: it goes through the caller's transaction.
_asking = App(connector=SyncPsycopgConnector())


def ask(conn: Conn, job: str, loop: str, *, in_s: float = 0.0) -> bool:
    """Request `job` for `loop`; False if it is requested already.

    It can start when the caller's transaction commits, and not before `in_s` seconds have passed.
    """
    asked = f"{job}:{loop}"
    # This check comes first, because each unique violation, though harmless, is an error in Postgres's log. Without a
    # statement before it, the block below would also be a transaction of its own and not a savepoint of the caller's.
    row = conn.execute(
        """
        select clock_timestamp() as now,
            exists (select from procrastinate_jobs where queueing_lock = %s and status = 'todo') as waits
        """,
        [asked],
    ).fetchone()
    assert row is not None
    if row["waits"]:
        return False
    # By Postgres's clock, which decides when the job may start. If our clock were ahead, the job would start late, and
    # nobody could request it again until then.
    later = row["now"] + timedelta(seconds=in_s) if in_s else None
    # One of each at a time over all loops: an MLflow that hangs keeps two places of the worker, and not all.
    lock = job if job in (EXPORT, ASSESS) else asked
    try:
        with conn.transaction():  # a savepoint: another transaction may ask for the same at this moment
            _asking.configure_task(
                job, queue=_QUEUES[job], queueing_lock=asked, lock=lock, schedule_at=later, connection=conn
            ).defer(loop=loop)
    except AlreadyEnqueued:
        return False
    return True


def ask_for_more(conn: Conn, spec: LoopSpec) -> None:
    """Request a training run if at least `retrain.after` answers are not part of any run yet."""
    if not spec.learner.is_trained:
        return
    n = new_answers.count(conn, spec.name)
    if n < spec.retrain.after or (run := runs.request(conn, spec.name, f"{n} new answers")) is None:
        return
    if new_answers.count(conn, spec.name) < spec.retrain.after:
        runs.take_back(conn, run)  # the queued run was claimed just now, and has these answers
    else:
        ask(conn, RETRAIN, spec.name)


def worker_name(queue: str) -> str:
    """Return the name that a worker's connections have in Postgres."""
    return f"labelloop {queue} worker"


def worker_app(url: str, queue: str) -> App:
    """Return the app that a worker of `queue` runs; the room adds its tasks."""
    # The name of its connections tells which queue's worker is alive; a heartbeat alone does not.
    named = {**DEADLINES, "application_name": worker_name(queue)}
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=WORKER_CONNECTIONS, kwargs=named))

    # A worker of procrastinate ends when its heartbeat or its listener fails, and is then started again. But it stops
    # watching them when its first side task ends, and without a periodic task one of the side tasks ends at once.
    @app.periodic(cron="0 0 1 1 *")
    @app.task(name="labelloop.happy_new_year", queue="nobody")
    def _never(timestamp: int) -> None: ...

    return app


async def reap(app: App, queue: str, after_s: float) -> int:
    """Return the jobs of workers without a heartbeat for `after_s` to the queue; return how many there were.

    If the same job has been requested again meanwhile, the old one is closed instead. Otherwise its lock would block
    the new one for ever.
    """
    stalled = list(await app.job_manager.get_stalled_jobs(queue=queue, seconds_since_heartbeat=after_s))
    for job in stalled:
        assert job.id is not None
        try:
            await app.job_manager.retry_job(job)
        except ConnectorException:
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=False)
    return len(stalled)


@contextmanager
def open_app(url: str) -> Iterator[App]:
    """Open an app without a worker, for the schema and for reading jobs."""
    app = App(connector=SyncPsycopgConnector(conninfo=url, min_size=1, max_size=2))
    with app.open():
        yield app
