"""The intake when something fails before or at a commit: what was acknowledged is stored, and stored once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest

from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.tables import loops
from sync.service import create_app
from tests.support.intake_client import HEADERS, SPEC, URL, Intake, output
from tests.support.network.ports import free_address
from tests.support.network.sync_service import TOKEN, running
from tests.support.network.tcp import Line
from tests.support.servers import Light, a_postgres
from tests.support.sync_loop import wait_until
from tests.support.workers.sync_worker import HOLD, LOCK

BEARER = {"Authorization": f"Bearer {TOKEN}"}
FEW = 12
"""Connections of the small Postgres."""


def test_a_service_killed_before_its_commit_has_stored_nothing_and_the_retry_stores_one(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    address = free_address()
    with database.transaction() as conn:
        loops.register(conn, SPEC)
        conn.execute(HOLD)
        conn.execute("create trigger hold after insert on outputs for each row execute function hold()")
    said: list[object] = []

    def submit() -> None:
        try:
            said.append(httpx.post(f"http://{address}{URL}", json=output(), headers=BEARER, timeout=60).status_code)
        except httpx.TransportError as exc:
            said.append(exc)

    with psycopg.connect(database_url, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(%s)", [LOCK])
        with running(database_url, tmp_path, address):
            request = threading.Thread(target=submit)
            request.start()
            wait_until(lambda: holder.execute(_HELD, [LOCK]).fetchall(), what="an insert before its commit")
            for process in _tree_of(address):
                process.kill()
            request.join()
    assert isinstance(said[0], httpx.TransportError)
    wait_until(lambda: not _at_work(database), what="the end of the transaction")
    assert _stored(database) == 0
    with database.transaction() as conn:
        conn.execute("drop trigger hold on outputs")
    with running(database_url, tmp_path, address):
        submit()
        submit()
    assert said[1:] == [201, 200]
    assert _stored(database) == 1


class Cutting(Line):
    """A line that is cut when so many bytes have come from the server."""

    left = 10**9
    passed = 0

    def count(self, data: bytes) -> bytes:
        self.left -= len(data)
        self.passed += len(data)
        if self.left < 0:
            data, self.left = data[: self.left], 10**9
            self.cut()
            self.mend()
        return data


@pytest.fixture
def cutting(database_url: str) -> Iterator[Cutting]:
    at = urlsplit(database_url)
    line = Cutting(str(at.hostname), at.port or 5432)
    yield line
    line.close()


def test_after_a_connection_that_was_cut_at_any_byte_a_retry_stores_each_output_once(
    database: Database, database_url: str, cutting: Cutting
) -> None:
    """For some of the cuts the row is committed and the service does not know; a retry with the same key settles it."""
    Intake(database)  # registers the loop
    at = urlsplit(database_url)
    beyond = at._replace(netloc=f"{at.username}:{at.password}@127.0.0.1:{cutting.port}").geturl()
    unsure = 0
    with Database(beyond, size=1, wait_s=5.0) as through:
        web = create_app(Settings(intake_token="secret"), through).test_client()
        assert web.post(URL, json=output(key="before"), headers=HEADERS).status_code == 201
        before = cutting.passed
        assert web.post(URL, json=output(key="again"), headers=HEADERS).status_code == 201
        whole = cutting.passed - before
        places = [*range(0, whole - 80, 60), *range(whole - 80, whole, 4)]  # the reply to the commit comes last
        for stored_before, n in enumerate(places, 2):
            cutting.left = n
            first = web.post(URL, json=output(key=f"k/{n}"), headers=HEADERS)
            assert first.status_code in (201, 503)
            stored = _stored(database)
            cutting.left = 10**9
            again = [first] if first.status_code == 201 else []
            while not again or again[-1].status_code == 503:
                again.append(web.post(URL, json=output(key=f"k/{n}"), headers=HEADERS))
            unsure += first.status_code == 503 and stored == stored_before + 1
            assert _stored(database) == stored_before + 1
    assert unsure > 0, "no cut fell between a commit and its acknowledgement"


def test_a_full_disk_is_told_as_503_and_when_there_is_room_again_the_same_service_stores(database: Database) -> None:
    """A trigger raises the error that Postgres has for a file that cannot grow."""
    intake = Intake(database)
    assert intake.post(output(key="before")).status_code == 201
    with database.transaction() as conn:
        conn.execute(
            "create function full_disk() returns trigger language plpgsql as $$ begin"
            " raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;"
            " create trigger full_disk before insert on outputs for each row execute function full_disk()"
        )
    refused = intake.post(output(key="meanwhile"))
    assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    assert intake.get("/readyz").json["postgres"] == "ok"
    with database.transaction() as conn:
        conn.execute("drop trigger full_disk on outputs")
    assert intake.post(output(key="meanwhile")).status_code == 201
    assert intake.stored() == 2


@pytest.fixture
def small() -> Iterator[tuple[Light, str]]:
    """A Postgres of this test alone, with few connections, and the URL of a database with our tables."""
    with a_postgres(max_connections=str(FEW)) as postgres:
        url = postgres.create_database("labelloop")
        migrate(url)
        with Database(url) as database, database.transaction() as conn:
            loops.register(conn, SPEC)
        yield postgres, url


def test_without_a_free_connection_the_intake_asks_to_come_again_and_then_stores(small: tuple[Light, str]) -> None:
    _, url = small
    taken: list[psycopg.Connection[Any]] = []
    with suppress(psycopg.OperationalError):
        while len(taken) < 2 * FEW:
            taken.append(psycopg.connect(url))
    assert len(taken) < FEW + 1
    with Database(url, wait_s=2.0) as database:
        web = create_app(Settings(intake_token="secret"), database).test_client()
        refused = web.post(URL, json=output(), headers=HEADERS)
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        for one in taken:
            one.close()
        wait_until(lambda: web.post(URL, json=output(), headers=HEADERS).status_code in (200, 201), 30)
        assert _stored(database) == 1


def test_postgres_restarted_five_times_under_load_loses_no_acknowledged_output(
    small: tuple[Light, str], tmp_path: Path
) -> None:
    postgres, url = small
    acknowledged: set[str] = set()
    over, statuses = threading.Event(), set[object]()

    def submit(name: int, at: str) -> None:
        n = 0
        while not over.is_set():
            key = f"{name}/{n}"
            try:
                said = httpx.post(at + URL, json=output(key=key), headers=BEARER, timeout=30)
            except httpx.TransportError as exc:
                statuses.add(type(exc))
                continue
            statuses.add(said.status_code)
            if said.is_success:
                acknowledged.add(key)
                n += 1

    with running(url, tmp_path) as at:
        threads = [threading.Thread(target=submit, args=(name, at)) for name in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(5):
            before = len(acknowledged)
            postgres.end_at_once()
            if not httpx.get(at + "/healthz", timeout=30).is_success:
                statuses.add("the service itself was not well")
            assert httpx.get(at + "/readyz", timeout=30).status_code == 503
            postgres.start()
            wait_until(lambda before=before: len(acknowledged) > before + 5, what="outputs stored again")  # type: ignore[misc]
        over.set()
        for thread in threads:
            thread.join()
    assert statuses == {200, 201, 503} or statuses == {201, 503}, statuses
    with Database(url) as database, database.transaction() as conn:
        stored = {row["key"] for row in conn.execute("select key from outputs")}
    assert acknowledged <= stored
    assert len(stored - acknowledged) <= len(threads), "at most the last request of each program has no reply"


_HELD = "select 1 from pg_locks where locktype = 'advisory' and objid = %s and not granted"


def _tree_of(address: str) -> list[psutil.Process]:
    """Return the processes of the service that listens there."""
    words = f"--bind={address}"
    return [p for p in psutil.Process().children(recursive=True) if words in " ".join(p.cmdline())]


def _at_work(database: Database) -> bool:
    with database.transaction() as conn:
        query = "select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        return conn.execute(query + " and state <> 'idle'").fetchone() is not None


def _stored(database: Database) -> int:
    with database.transaction() as conn:
        row = conn.execute("select count(*) as n from outputs").fetchone()
    assert row is not None
    return int(row["n"])
