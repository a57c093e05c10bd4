"""Jobs are asked for once, and asking again is no error, in Postgres's log either."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from procrastinate import utils

from labelloop.store.database import Database
from labelloop.store.tables import jobs


def test_asking_again_is_not_even_tried(database: Database) -> None:
    """Each unique violation is an error in Postgres's log, and uses up a number of the sequence: here none is."""
    with database.transaction() as conn:
        assert [jobs.ask(conn, jobs.PUSH, "pets") for _ in range(5)] == [True] + 4 * [False]
        assert jobs.ask(conn, jobs.PULL, "pets")
        ids = [row["id"] for row in conn.execute("select id from procrastinate_jobs order by id")]
    assert ids == [ids[0], ids[0] + 1]


def test_two_requests_at_the_same_moment_are_one_job_and_neither_fails(database: Database) -> None:
    said: list[bool] = []

    def second() -> None:
        with database.transaction() as conn:
            said.append(jobs.ask(conn, jobs.PUSH, "pets"))

    with database.transaction() as conn:
        assert jobs.ask(conn, jobs.PUSH, "pets")
        other = threading.Thread(target=second)
        other.start()
        other.join(0.3)
        assert other.is_alive(), "it waits for the first, whose asking nobody can see yet"
    other.join(30)
    assert said == [False]


def test_a_job_is_requested_when_the_caller_commits(database: Database) -> None:
    with database.transaction() as conn:
        assert jobs.ask(conn, jobs.PUSH, "pets")
        conn.rollback()
    with database.transaction() as conn:
        assert conn.execute("select 1 from procrastinate_jobs").fetchone() is None


def test_a_job_that_is_being_done_can_be_asked_for_again(database: Database) -> None:
    with database.transaction() as conn:
        assert jobs.ask(conn, jobs.PUSH, "pets")
        conn.execute("update procrastinate_jobs set status = 'doing'")
        assert jobs.ask(conn, jobs.PUSH, "pets")


def test_a_job_is_due_by_the_clock_of_postgres_and_not_by_the_callers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres decides when the job may begin; until then a second request is refused."""
    monkeypatch.setattr(utils, "utcnow", lambda: datetime.now(UTC) + timedelta(hours=1))
    with database.transaction() as conn:
        assert jobs.ask(conn, jobs.PULL, "pets", in_s=3.5)
        row = conn.execute("select extract(epoch from scheduled_at - now()) as s from procrastinate_jobs").fetchone()
    assert row is not None
    assert 2 < row["s"] < 5
