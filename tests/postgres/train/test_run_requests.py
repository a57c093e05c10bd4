"""Requests for a training run: how they become one queued run, and what follows a lost worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from psycopg import errors

from backend.train.due import ask_for_due
from backend.train.retrain import heal
from labelloop.store.database import Database
from labelloop.store.tables import jobs, runs
from tests.support.backend_factory import (
    digits_loop,
)
from tests.support.hops.retraining import asked, claimed, requested


def test_requests_at_the_same_time_are_one_queued_run(database: Database) -> None:
    spec = digits_loop(database, n=1, answered=0)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: requested(database, spec.name), range(8)))
    assert sum(run is not None for run in made) == 1
    two = "insert into retrain_runs (loop, why, status) select %s, 'x', %s from generate_series(1, 2)"
    for status, constraint in (("queued", "one_queued_run_a_loop"), ("running", "one_running_run_a_loop")):
        with pytest.raises(errors.UniqueViolation) as refused, database.transaction() as conn:
            conn.execute(two, (spec.name, status))
        assert refused.value.diag.constraint_name == constraint


def test_a_request_during_a_run_gets_the_next_run_and_one_runs_at_a_time(database: Database) -> None:
    """A run that is going has made its cut: what was answered since, and asked for, would be lost in it."""
    spec = digits_loop(database, n=1, answered=0)
    first = claimed(database, spec.name)
    second = requested(database, spec.name, "by hand")
    assert second not in (None, first)
    assert requested(database, spec.name, "by hand, again") is None, "folded into the next"
    with database.transaction() as conn:
        assert runs.claim(conn, spec.name, None) is None, "one at a time"
        assert runs.finish(conn, first, "refused")
    with database.transaction() as conn:
        claim = runs.claim(conn, spec.name, None)
    assert claim is not None
    assert claim.id == second


def test_a_run_that_is_given_back_ends_where_another_waits_already(database: Database) -> None:
    spec = digits_loop(database, n=1, answered=0)
    first = claimed(database, spec.name)
    second = requested(database, spec.name)
    with database.transaction() as conn:
        runs.release(conn, first)
        assert {r.id: r.status for r in runs.latest(conn, spec.name)} == {first: "stopped", second: "queued"}


def test_a_run_that_lost_its_worker_fails_and_is_asked_for_again_three_times_at_most(database: Database) -> None:
    spec = digits_loop(database, n=1, answered=0)
    claimed(database, spec.name)
    for attempt in (1, 2, 3):
        with database.transaction() as conn:
            conn.execute("update retrain_runs set heartbeat_at = now() - interval '1 minute' where status = 'running'")
        heal(database)
        with database.transaction() as conn:
            assert runs.queued_loops(conn) == ([spec.name] if attempt < 3 else [])
            runs.claim(conn, spec.name, None)
    with database.transaction() as conn:
        assert {run.status for run in runs.latest(conn, spec.name)} == {"failed"}
    assert asked(database, jobs.RETRAIN) == 1


def test_a_lost_worker_is_noticed_after_the_clock_has_gone_back(database: Database) -> None:
    spec = digits_loop(database, n=1, answered=0)
    run = claimed(database, spec.name)
    with database.transaction() as conn:
        conn.execute("update retrain_runs set heartbeat_at = now() + interval '1 day' where id = %s", [run])
    heal(database)
    with database.transaction() as conn:
        row = conn.execute("select status, heartbeat_at <= now() as past from retrain_runs where id = %s", [run])
        assert row.fetchone() == {"status": "running", "past": True}, "its worker may be there and beats again"


def test_answers_that_no_run_has_seen_get_one_even_where_nobody_asked(database: Database) -> None:
    """Answers can be committed just when the run that they were folded into ends."""
    spec = digits_loop(database, n=60, answered=50)
    heal(database)
    with database.transaction() as conn:
        assert runs.queued_loops(conn) == [spec.name]
        assert runs.latest(conn, spec.name)[0].why == "50 new answers"
    assert asked(database, jobs.RETRAIN) == 1


def test_a_loop_that_cannot_be_read_keeps_no_other_from_its_runs(database: Database) -> None:
    """As after a downgrade: what its spec says is not known here, and by name it comes first."""
    spec = digits_loop(database, n=60, answered=50)
    with database.transaction() as conn:
        conn.execute("insert into loops (name, spec, labels_xml) values ('a-newer-one', '{\"unheard\": 1}', '')")
    heal(database)
    ask_for_due(database, datetime.now(UTC))
    with database.transaction() as conn:
        assert runs.queued_loops(conn) == [spec.name]
