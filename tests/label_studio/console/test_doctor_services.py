"""Faults beside the project: services, clocks, tokens, Postgres and workers, each made for real and told."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql

from console.cli import main
from console.doctor import Finding, Level, examine, exit_status
from console.doctor.server import SKEW_S
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from labelloop.store.tables import jobs
from tests.support.house import House, house
from tests.support.network.faultproxy import Proxy, proxy
from tests.support.servers import LabelStudio, a_database
from tests.support.sync_loop import wait_until

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pets(
    postgres_url: str, _template: str, label_studio: LabelStudio, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """One house for all of them: each test leaves it as it was."""
    name = f"labelloop_doctor_{uuid.uuid4().hex[:12]}"
    with (
        a_database(postgres_url, name, _template.rpartition("/")[2]) as url,
        Database(url) as database,
        house(database, label_studio.url, label_studio.token, tmp_path_factory.mktemp("models")) as pets,
    ):
        pets.loop.submit(2)
        pets.loop.push()
        assert pets.ill() == {}
        yield pets


@pytest.fixture
def between(label_studio: LabelStudio) -> Iterator[Proxy]:
    with proxy(label_studio.url) as server:
        yield server


# -- our services --------------------------------------------------------------------------------------------------


def test_a_doorbell_that_answers_late(pets: House) -> None:
    pets.sync.late_s = 1.1
    ill = pets.ill()
    pets.sync.late_s = 0.0
    assert set(ill) == {"doorbell"}
    said = re.search(r"answers after (\d+\.\d) s", ill["doorbell"].says)
    assert said, ill["doorbell"].says
    assert 1.1 <= float(said[1]) < 10
    assert pets.ill() == {}


def test_a_sync_service_that_does_not_answer(pets: House) -> None:
    pets.sync.go()
    ill = pets.ill()
    pets.sync.come()
    assert set(ill) == {"intake", "doorbell"}
    assert "sync.service" in ill["doorbell"].repair
    assert pets.ill() == {}


@pytest.mark.parametrize(
    ("setting", "checks", "check", "says"),
    [
        ("hook_secret", {"doorbell", "webhook"}, "doorbell", "refuses our secret"),
        ("intake_token", {"intake"}, "intake", "refuses our token"),
        ("backend_password", {"backend"}, "backend", "refuses our password"),
    ],
)
def test_a_service_that_has_another_secret(pets: House, setting: str, checks: set[str], check: str, says: str) -> None:
    ill = pets.ill(**{setting: "another"})
    assert set(ill) == checks
    assert says in ill[check].says


def test_another_service_at_the_address_of_ours(pets: House) -> None:
    ill = pets.ill(sync_url=pets.backend.url)
    assert set(ill) == {"intake", "doorbell", "webhook"}
    assert "no doorbell of ours" in ill["doorbell"].says


def test_a_champion_whose_file_is_gone(pets: House) -> None:
    version = uuid.uuid4().hex * 2
    pets.loop.do(
        f"insert into model_versions (id, loop, stage, learner, classes, size_bytes, trained_on)"
        f" values ('{version}', 'pets', 'champion', 'text', '{{cat}}', 1, 1);"
        f"insert into promotions (loop, epoch, version_id, by, why) values ('pets', 1, '{version}', 'me', 'a test')"
    )
    # The backend looks who serves when Label Studio asks it.
    wait_until(lambda: "backend" in pets.ill())
    ill = pets.ill()
    assert f"version {version[:12]} cannot be loaded" in ill["backend"].says
    pets.repair(ill["backend"])
    wait_until(lambda: pets.ill() == {})


# -- Label Studio and its clock, version and token -----------------------------------------------------------------


def test_a_clock_that_differs(pets: House, between: Proxy) -> None:
    between.ahead_s = -60.0
    ill = pets.ill(label_studio_url=between.url)
    assert set(ill) == {"clocks"}
    assert _off_s(r"Label Studio's is (\d+) s behind", ill["clocks"]) == pytest.approx(60, abs=SKEW_S)
    between.ahead_s = 0.0
    assert pets.ill(label_studio_url=between.url) == {}


@pytest.mark.parametrize(("release", "level"), [("1.22.0", Level.FAULT), ("1.99.0", Level.HINT)])
def test_a_label_studio_that_is_not_the_one_we_know(pets: House, between: Proxy, release: str, level: Level) -> None:
    between.release = release
    found = {finding.check: finding for finding in pets.examine(label_studio_url=between.url)}
    assert found["version"].level is level
    assert release in found["version"].says


def test_a_label_studio_that_is_away_is_not_called_well(pets: House, between: Proxy) -> None:
    between.away = True
    ill = pets.ill(label_studio_url=between.url)
    assert set(ill) == {"label studio"}
    assert exit_status(list(ill.values())) == 2
    elsewhere = pets.ill(label_studio_url=pets.sync.url)
    assert set(elsewhere) == {"label studio"}, "something else answers there"


def test_a_token_that_nobody_gave(pets: House) -> None:
    ill = pets.ill(label_studio_token="0" * 40)
    assert set(ill) == {"label studio"}
    assert "does not know this token" in ill["label studio"].says
    assert exit_status(list(ill.values())) == 2


# -- Postgres ------------------------------------------------------------------------------------------------------


def test_a_postgres_that_is_away(pets: House) -> None:
    ill = pets.ill(database_url="postgresql://nobody@127.0.0.1:9/nothing")
    assert set(ill) == {"postgres"}
    assert "refused" in ill["postgres"].says
    assert exit_status(list(ill.values())) == 2


def test_a_database_without_our_tables(pets: House, postgres_url: str) -> None:
    with a_database(postgres_url, f"labelloop_bare_{uuid.uuid4().hex[:12]}") as url:
        bare = replace(pets.settings, database_url=url, loops_dir=ROOT / "labeling_configs")
        found = {finding.check: finding for finding in examine(bare)}
        assert found["schema"].level is Level.FAULT
        assert "the queue" in found["schema"].says
        assert CliRunner().invoke(main, found["schema"].repair.split()[1:], env=bare.to_env()).exit_code == 0
        found = {finding.check: finding for finding in examine(bare)}
        assert found["schema"].level is Level.OK
        assert "no project in Label Studio yet" in found["project"].says


def test_a_postgres_without_room_for_us(pets: House, postgres_url: str) -> None:
    role = f"labelloop_narrow_{uuid.uuid4().hex[:8]}"
    at = pets.settings.database_url.partition("://")[2].rpartition("@")[2]
    narrow = f"postgresql://{role}:p@{at}"
    admin = sql.Identifier(role)

    def do(*statements: str) -> None:
        with psycopg.connect(pets.settings.database_url, autocommit=True) as conn:
            for statement in statements:
                conn.execute(sql.SQL(statement).format(admin))

    do("create role {} login password 'p' connection limit 3", "grant select on all tables in schema public to {}")
    try:
        found = {finding.check: finding for finding in pets.examine(database_url=narrow)}
        assert found["connections"].level is Level.FAULT
        assert "this user has 2 connections free of 3" in found["connections"].says
        do("alter role {} connection limit 0")
        found = {finding.check: finding for finding in pets.examine(database_url=narrow)}
        assert "no connection free" in found["connections"].says
        do("alter role {} connection limit 100")
        found = {finding.check: finding for finding in pets.examine(database_url=narrow)}
        assert "this user" not in found["connections"].says
    finally:
        do("drop owned by {}", "drop role {}")


def test_a_postgres_whose_clock_differs(pets: House) -> None:
    name = psycopg.conninfo.conninfo_to_dict(pets.settings.database_url)["dbname"]
    pets.loop.do(
        "create function public.clock_timestamp() returns timestamptz language sql as"
        " $$ select pg_catalog.clock_timestamp() + interval '1 minute' $$;"
        f"alter database {name} set search_path = public, pg_catalog"
    )
    ill = pets.ill()
    pets.loop.do(f"alter database {name} reset search_path; drop function public.clock_timestamp()")
    assert set(ill) == {"clocks"}
    assert _off_s(r"Postgres's is (\d+) s ahead", ill["clocks"]) == pytest.approx(60, abs=SKEW_S)
    assert pets.ill() == {}


def _off_s(says: str, finding: Finding) -> int:
    """Return the seconds that are told. They are off by half of the time that the answer takes, and by the half second
    that a Date header is rounded by.
    """
    found = re.search(says, finding.says)
    assert found, finding.says
    return int(found[1])


# -- workers -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)  # two workers start, and one once more
def test_jobs_and_workers_and_the_command_line(pets: House) -> None:
    settings = replace(pets.settings, heartbeat_s=2.0, pull_every_s=1.0)

    def found() -> dict[str, Finding]:
        return {finding.check: finding for finding in examine(settings)}

    def doctor(*words: str, **more: str) -> Result:
        return CliRunner().invoke(main, ["doctor", *words], env={**settings.to_env(), **more})

    with pets.loop.database.transaction() as conn:
        jobs.ask(conn, jobs.PUSH, "pets")
        jobs.ask(conn, jobs.PULL, "pets")
        conn.execute(
            "with dead as (insert into procrastinate_workers (last_heartbeat) values (now() - interval '1 hour')"
            " returning id) update procrastinate_jobs set status = 'doing', worker_id = dead.id from dead"
            " where task_name = 'sync.pull'"
        )
        conn.execute("update procrastinate_events set at = now() - interval '200 s'")
    before = found()
    assert "sync.pull of pets is held by a worker that is dead" in before["jobs"].says
    assert re.search(r"sync\.push of pets has waited for 2\d\d s", before["jobs"].says), before["jobs"].says
    assert "workers of sync and backend do not run" in before["workers"].says
    said = doctor()
    assert said.exit_code == 1
    assert "repair: python -m sync.worker" in said.stdout

    with worker("sync.worker", settings) as sync, worker("backend.worker", settings):
        wait_until(lambda: _well(found()), what="all is well")
        wait_until(lambda: doctor().exit_code == 0, what="all is well")
        nothing = "checks, nothing wrong"
        wait_until(lambda: nothing in doctor("--loop", "pets").stdout.splitlines()[-1], what="all is well")
        wait_until(lambda: '"status": 0' in doctor("--json").stdout, what="all is well")
        assert doctor("--loop", "none").exit_code == 2
        assert doctor(LABELLOOP_LABEL_STUDIO_URL="http://127.0.0.1:9").exit_code == 2
        assert doctor(LABELLOOP_LABEL_STUDIO_TOKEN="0" * 40).exit_code == 2
        assert doctor(LABELLOOP_DATABASE_URL="postgresql://nobody@127.0.0.1:9/x").exit_code == 2
        assert doctor(LABELLOOP_INTAKE_TOKEN="another").exit_code == 1

        sync.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: "1 of 2 workers" in found()["workers"].says, what="a silent worker is told")
        finally:
            sync.send_signal(signal.SIGCONT)
        wait_until(lambda: found()["workers"].level is Level.OK, what="it is back")
        sync.kill()
        wait_until(lambda: "worker of sync does not run" in found()["workers"].says, what="a dead worker is told")
        with worker("sync.worker", settings):
            wait_until(lambda: found()["workers"].level is Level.OK, what="another works")


def _well(found: dict[str, Finding]) -> bool:
    return all(finding.level in (Level.OK, Level.HINT) for finding in found.values())


@contextmanager
def worker(module: str, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("LABELLOOP_")}
    process = subprocess.Popen(
        [sys.executable, "-m", module], cwd=ROOT, env={**environ, **settings.to_env()}, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
