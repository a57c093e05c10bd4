"""The backend's worker as a real process: killed, ended, and left alone by Postgres."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from backend.encode.children import Children as Encoders
from backend.train.child import Children
from backend.train.retrain import heal
from backend.worker import checks, duties
from labelloop.process.settings import Settings
from labelloop.process.worker import check_all, serve
from labelloop.store.database import Database
from labelloop.store.tables import runs, versions
from tests.support.backend_factory import settings_for
from tests.support.hops.answering_desk import Desk
from tests.support.network.tcp import Line
from tests.support.workers.backend_worker import in_the_middle_of_training, latest, texts_loop, until, worker
from tests.support.workers.processes import children, gone, jobs_of_ours


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return settings_for(database_url, tmp_path)


def test_a_worker_that_is_killed_while_it_trains_is_healed_by_the_next(database: Database, settings: Settings) -> None:
    loop = texts_loop(database, length=3_000)
    with worker(settings) as first:
        until(lambda: in_the_middle_of_training(database, loop))
        left = children(first.pid)
        assert left
        first.send_signal(signal.SIGKILL)
        first.wait()
        until(lambda: all(map(gone, left)), within_s=30)
    dead = latest(database, loop)
    assert dead.status == "running"
    with database.transaction() as conn:  # the clock goes on by itself; a test need not wait for it
        conn.execute("update retrain_runs set heartbeat_at = heartbeat_at - interval '21 s'")
        conn.execute("update procrastinate_workers set last_heartbeat = last_heartbeat - interval '16 s'")
        conn.execute("update outputs set data = jsonb_build_object('text', left(data ->> 'text', 200))")
    with worker(settings):
        until(lambda: latest(database, loop).status in ("promoted", "refused"))
    with database.transaction() as conn:
        again, died = runs.latest(conn, loop)
    assert (died.id, died.status) == (dead.id, "failed")
    assert "the worker that trained it is gone" in str(died.error)
    assert again.status == "promoted", again


def test_a_run_that_is_claimed_while_more_are_asked_for_gets_no_twin(database: Database, settings: Settings) -> None:
    loop = texts_loop(database, length=3)
    with database.transaction() as conn:
        assert runs.claim(conn, loop, None) is not None
        look = threading.Thread(target=heal, args=(database,))
        look.start()  # it counts the answers as if nobody had looked at them, and waits for the claim
        until(lambda: waits_for_a_run(database))
    look.join()
    with database.transaction() as conn:
        assert [run.status for run in runs.latest(conn, loop)] == ["running"]


def waits_for_a_run(database: Database) -> bool:
    with database.transaction() as conn:
        row = conn.execute(
            "select count(*) as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row["n"] > 0


def test_a_worker_that_is_told_to_end_kills_its_child_and_gives_the_run_back(
    database: Database, settings: Settings
) -> None:
    loop = texts_loop(database, length=3_000)
    with worker(settings) as process:
        until(lambda: in_the_middle_of_training(database, loop))
        left = children(process.pid)
        assert left
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert all(map(gone, left))
    run = latest(database, loop)
    assert (run.status, run.feedback_upto) == ("queued", None)


def test_encoding_rests_while_people_answer(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = list[Encoders]()

    class Made(Encoders):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr("backend.worker.Encoders", Made)
    duties(database, settings, Children(settings), threading.Event())
    [encoders] = made
    assert not encoders._at_work()
    desk = Desk(database)
    [output_id] = desk.submit("a")
    desk.open_task(output_id, 1)
    desk.annotate(output_id, 1, "cat")
    assert encoders._at_work()
    with database.transaction() as conn:  # the clock goes on by itself
        conn.execute("update annotation_versions set seen_at = seen_at - interval '301 s'")
    assert not encoders._at_work()


@contextmanager
def worker_in_a_thread(settings: Settings) -> Iterator[threading.Thread]:
    stop, loop, stopping = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    def work() -> None:
        with Database(settings.database_url) as database:
            work = duties(database, settings, Children(settings), stop)
            loop.run_until_complete(serve(settings, work, stopping))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        loop.call_soon_threadsafe(stopping.set)
        thread.join(timeout=60)
        assert not thread.is_alive()
        loop.close()


def test_a_run_goes_on_when_postgres_is_away_for_a_while(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    url = urlsplit(settings.database_url)
    line = Line(url.hostname or "", url.port or 5432)
    behind = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{line.port}").geturl()
    loop = texts_loop(database, length=500)
    with worker_in_a_thread(settings_for(behind, tmp_path)):
        until(lambda: latest(database, loop).status == "running")
        time.sleep(2)  # until the worker has started its child and given a sign of life
        line.cut()
        time.sleep(5)
        line.mend()
        run = until(lambda: latest(database, loop) if latest(database, loop).finished_at else None)
        assert run.status == "promoted", run
        until(lambda: jobs_left(database) == 0)
        until(lambda: listens(database), within_s=30)
        until(lambda: "backend.encode.child" in " ".join(jobs_of_ours().values()), within_s=30)  # it encodes texts
    assert not jobs_of_ours(), "the worker has ended, and so have the processes of its jobs"
    line.close()
    with database.transaction() as conn:
        assert versions.champion(conn, loop) is not None


def listens(database: Database) -> bool:
    """A worker is told of new jobs; one whose listener has died finds them only now and then."""
    with database.transaction() as conn:
        return bool(
            conn.execute(
                "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen %'"
            ).fetchall()
        )


def jobs_left(database: Database) -> int:
    """Jobs of the backend that wait, or are being done."""
    with database.transaction() as conn:
        row = conn.execute(
            "select count(*) as n from procrastinate_jobs where queue_name = 'backend' and status in ('todo', 'doing')"
        ).fetchone()
    assert row is not None
    return int(row["n"])


def test_a_check_that_fails_keeps_no_other_from_running(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["heal", "ask_for_shadows", "ask_for_prelabels", "ask_for_vectors", "ask_for_due"]
    checked: list[str] = []

    async def check_once() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()

        def fails(name: str) -> Callable[..., None]:
            def check(*_: object, **__: object) -> None:
                checked.append(name)
                if set(checked) == set(names):
                    loop.call_soon_threadsafe(stopping.set)
                raise ValueError(name)

            return check

        for name in names:
            monkeypatch.setattr(f"backend.worker.{name}", fails(name))
        await asyncio.wait_for(check_all(checks(database, settings, Encoders(threading.Event())), stopping), 60)

    asyncio.run(check_once())
    assert list(dict.fromkeys(checked)) == names
