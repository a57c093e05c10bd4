"""The table outbox: who may write into it, and that each row is taken once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner

from console.cli import main
from console.doctor import work
from console.doctor.findings import Level
from console.local.supervisor import ROOT, python_env
from labelloop.store.database import Database
from labelloop.store.pipelines import outbox
from labelloop.store.tables import loops
from sync.gauges import Window
from sync.intake.outbox import take_all, take_some
from tests.support.data.malformed import MALFORMED, body
from tests.support.intake_client import SPEC
from tests.support.workers.consumers import keys, stored, until


@pytest.fixture(autouse=True)
def _loop(database: Database) -> None:
    with database.transaction() as conn:
        loops.register(conn, SPEC)


NO_ROW = {
    *("a NUL byte", "invalid UTF-8", "half of a surrogate pair in UTF-8", "UTF-16", "gzip", "more than a mebibyte")
}
"""Malformed outputs that Postgres refuses to its writer, so that no row comes into being."""


def write(database: Database, *bodies: str, loop: str = "pets") -> None:
    with database.transaction() as conn:
        for one in bodies:
            conn.execute("insert into outbox (loop, body) values (%s, %s)", [loop, one])


def left(database: Database) -> list[outbox.Refused]:
    """Return the refused rows, oldest first; no row may wait."""
    with database.transaction() as conn:
        assert sum(count.waiting for count in outbox.counts(conn)) == 0
        return outbox.refused(conn, None, 1_000)[::-1]


# -- the role ----------------------------------------------------------------------------------------------------


@pytest.fixture
def writer(database_url: str) -> Iterator[str]:
    """URL of a connection with the role that `labelloop token outbox` makes."""
    role = f"outbox_{uuid4().hex[:12]}"
    made = CliRunner().invoke(main, ["token", "outbox", "--role", role])
    assert made.exit_code == 0, made.output
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(made.stdout)
        password = made.stdout.split("password '")[1].split("'")[0]
        at = urlsplit(database_url)
        yield at._replace(netloc=f"{role}:{password}@{at.hostname}:{at.port}").geturl()
        admin.execute(f"drop owned by {role}; drop role {role}")


def test_the_role_may_insert_an_output_and_do_nothing_else(database: Database, writer: str) -> None:
    with psycopg.connect(writer, autocommit=True) as conn:
        conn.execute("insert into outbox (loop, body) values ('pets', %s)", [body("a").decode()])
        conn.execute("insert into outbox (loop, body) select 'pets', %s::jsonb", [body("b").decode()])
        for refused in (
            "select * from outbox",
            "select count(*) from outbox",
            "insert into outbox (loop, body) values ('pets', '{}') returning id",
            "insert into outbox (loop, body, written_at) values ('pets', '{}', now())",
            "insert into outbox (id, loop, body) overriding system value values (1, 'pets', '{}')",
            "insert into outbox (loop, body, problem) values ('pets', '{}', 'x')",
            "update outbox set body = '{}'",
            "delete from outbox",
            "truncate outbox",
            "drop table outbox",
            "select setval('outbox_id_seq', 1)",
            "select * from outputs",
            "select * from loops",
            "select * from access_tokens",
            "insert into outputs (loop, key) values ('pets', 'x')",
            "insert into procrastinate_jobs (queue_name, task_name) values ('sync', 'sync.push')",
            "create table mine (x int)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(refused)
    take_all(database)
    assert (keys(database), left(database)) == (["a", "b"], [])


def test_the_name_of_a_role_cannot_carry_sql() -> None:
    made = CliRunner().invoke(main, ["token", "outbox", "--role", "x; drop table outbox"])
    assert (made.exit_code, made.stdout) == (2, "")


# -- rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 1_000])
def test_each_malformed_row_stays_with_its_reason_and_stops_no_other(database: Database, most: int) -> None:
    bad = []
    for number, (name, raw) in enumerate(MALFORMED.items()):
        write(database, body(f"good/{number}").decode())
        if name in NO_ROW:
            with psycopg.connect(database.url) as conn, pytest.raises((psycopg.DataError, psycopg.IntegrityError)):
                conn.execute("insert into outbox (loop, body) values ('pets', convert_from(%s, 'utf8'))", [raw])
        else:
            write(database, raw.decode())
            bad.append(raw)
    write(database, body("good/0", model_version="8").decode(), body("good/1").decode())
    while sum(take_some(database, most)):
        pass
    assert keys(database) == sorted(f"good/{number}" for number in range(len(MALFORMED)))
    refused = left(database)
    assert len(refused) == len(bad) + 1
    assert all(row.problem for row in refused)
    assert (refused[-1].field, refused[-1].problem[:13]) == ("key", "key: 'good/0'")
    take_all(database)
    assert left(database) == refused, "a refused row is not tried again by itself"


def sleeps(database: Database) -> bool:
    """Somebody is inside pg_sleep."""
    with database.transaction() as conn:
        asked = "select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'"
        return conn.execute(asked).fetchone() is not None


@pytest.mark.owner
def test_a_row_that_postgres_refuses_never_costs_its_neighbour_although_others_hold_it(database: Database) -> None:
    write(database, body("bad").decode(), body("good").decode())
    with psycopg.connect(database.url, autocommit=True) as admin:
        admin.execute(
            """
            create function no_bad() returns trigger language plpgsql as $$
            begin perform pg_sleep(1); raise exception 'no' using errcode = 'data_exception'; end $$;
            create trigger no_bad before insert on outputs for each row when (new.key = 'bad') execute function no_bad()
            """
        )

    def other_worker() -> None:
        with psycopg.connect(database.url) as conn:
            conn.execute(
                """
                do $$ begin loop
                    perform from outbox where body like '%"bad"%' for update skip locked;
                    exit when found;
                end loop; end $$
                """
            )
            time.sleep(1)

    with ThreadPoolExecutor(2) as pool:
        taking = pool.submit(take_some, database, 1)
        until(lambda: sleeps(database))
        pool.submit(other_worker).result(20)
        assert taking.result(20) == (0, 1)
    take_all(database)
    assert keys(database) == ["good"]
    assert ["no" in row.problem for row in left(database)] == [True]


def test_a_row_of_a_loop_that_does_not_exist_waits_for_a_person(database: Database) -> None:
    write(database, body("a").decode(), loop="cows")
    write(database, body("b").decode())
    take_all(database)
    assert keys(database) == ["b"]
    (row,) = left(database)
    assert (row.loop, row.field, row.problem) == ("cows", "loop", "no loop 'cows'; there are: pets")
    with database.transaction() as conn:
        loops.register(conn, SPEC.model_copy(update={"name": "cows"}))
    env = {"LABELLOOP_DATABASE_URL": database.url}
    listed = CliRunner().invoke(main, ["outbox", "list", "--json"], env=env)
    assert json.loads(listed.stdout)["refused"][0]["problem"] == row.problem
    assert "cows" in CliRunner().invoke(main, ["outbox", "list"], env=env).stdout
    assert CliRunner().invoke(main, ["outbox", "retry"], env=env).exit_code == 2
    assert CliRunner().invoke(main, ["outbox", "retry", str(row.id)], env=env).exit_code == 0
    take_all(database)
    assert (keys(database), left(database)) == (["a", "b"], [])


def test_refused_rows_are_shown_by_status_doctor_and_metrics_until_they_are_discarded(database: Database) -> None:
    write(database, "{", body("a").decode())
    take_all(database)
    write(database, body("b").decode())
    env = {"LABELLOOP_DATABASE_URL": database.url}
    (status,) = json.loads(CliRunner().invoke(main, ["status", "--json"], env=env).stdout)
    assert (status["outbox_waiting"], status["outbox_refused"]) == (1, 1)
    rows = next(metric for metric in Window(database).collect() if metric.name == "labelloop_outbox_rows")
    assert {sample.labels["state"]: sample.value for sample in rows.samples} == {"waiting": 1, "refused": 1}
    with database.transaction() as conn:
        found = work.outbox(outbox.counts(conn), outbox.refused(conn, None, 1))
        (row,) = outbox.refused(conn, None, 10)
    assert (found.level, found.says[:24]) == (Level.FAULT, "1 rows cannot be stored,")
    gone = CliRunner().invoke(main, ["outbox", "discard", str(row.id), "999999"], env=env)
    assert gone.exit_code == 0
    assert gone.stderr.splitlines() == ["row 999999: no refused row with this id", "1 refused row is deleted."]
    with database.transaction() as conn:
        assert work.outbox(outbox.counts(conn), []).says == "1 rows wait"
    take_all(database)
    assert keys(database) == ["a", "b"]


def test_status_names_refused_rows_of_a_loop_that_does_not_exist(database: Database) -> None:
    with database.transaction() as conn:
        conn.execute("insert into outbox (loop, body) values ('ghost', %s)", [body("a").decode()])
    take_all(database)
    said = CliRunner().invoke(main, ["status"], env={"LABELLOOP_DATABASE_URL": database.url})
    assert "refused rows of the outbox for loops that are not listed: 1 of 'ghost'" in said.stderr


def test_a_worker_takes_a_row_within_five_seconds_and_ten_thousand_once_though_it_is_killed(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    settings = {
        "LABELLOOP_RECORD_HEADS": str(tmp_path / "heads.jsonl"),
        "LABELLOOP_DATABASE_URL": database_url,
        "LABELLOOP_LABEL_STUDIO_URL": "http://127.0.0.1:9",
        "LABELLOOP_LABEL_STUDIO_TOKEN": "none",
    }

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "sync.worker"], cwd=ROOT, env=python_env() | settings, stderr=subprocess.DEVNULL
        )

    with database.transaction() as conn, conn.cursor().copy("copy outbox (loop, body) from stdin") as copy:
        for i in range(10_000):
            copy.write_row(("pets", body(f"k{i:05}").decode()))
    for part in (1, 2):
        worker = start()
        until(lambda part=part: stored(database) >= 3_000 * part)  # type: ignore[misc]
        worker.kill()
        worker.wait()
    worker = start()
    try:
        until(lambda: stored(database) == 10_000)
        began = time.monotonic()
        write(database, body("late").decode())
        until(lambda: stored(database) == 10_001)
        assert time.monotonic() - began < 20
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(20)
    assert keys(database) == [*(f"k{i:05}" for i in range(10_000)), "late"]
    assert left(database) == []
