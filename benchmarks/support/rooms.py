"""Rooms: the servers of a run, and labelloop's own processes as `labelloop up` starts them."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
from psycopg import sql

from console.local import label_studio as local_label_studio
from console.local import services
from console.local.places import free_port
from console.local.postgres import Postgres
from console.local.supervisor import ROOT, python_env
from labelloop.errors import Failed
from labelloop.process.settings import Settings
from labelloop.reading.ids import ProjectId
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.tables import projects


@dataclass(frozen=True, slots=True)
class Servers:
    """A Postgres (an administrator's URL) and, where a benchmark needs it, a Label Studio."""

    postgres: str
    label_studio: str = ""
    token: str = ""
    ends_with_us: bool = False
    """Whether the Label Studio was started for this run alone."""

    def http(self) -> httpx.Client:
        """Label Studio's API without anything of ours in between."""
        headers = {"Authorization": f"Token {self.token}"}
        return httpx.Client(base_url=self.label_studio, headers=headers, timeout=120)

    def remove_project(self, web: httpx.Client, project_id: int) -> None:
        """Delete the project, on a shared server only: Label Studio deletes tasks one by one, which takes long."""
        if not self.ends_with_us:
            web.delete(f"/api/projects/{project_id}/")


@contextmanager
def servers(*, with_label_studio: bool) -> Iterator[Servers]:
    """Those that LABELLOOP_TEST_POSTGRES and LABELLOOP_TEST_LABEL_STUDIO ("url|token") name, else our own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="labelloop-bench-")))
        postgres = os.environ.get("LABELLOOP_TEST_POSTGRES", "")
        if not postgres:
            server = Postgres(folder / "postgres")
            stack.callback(server.remove)
            postgres = stack.enter_context(server).url("postgres")
        if not with_label_studio:
            yield Servers(postgres)
            return
        given = os.environ.get("LABELLOOP_TEST_LABEL_STUDIO", "")
        if given:
            url, token, *_ = given.split("|")
            yield Servers(postgres, url, token)
            return
        started = stack.enter_context(local_label_studio.running(folder / "label-studio", postgres_url=postgres))
        yield Servers(postgres, started.url, started.account.token, ends_with_us=True)


@dataclass
class House:
    """labelloop on a fresh database, with the processes that were asked for."""

    servers: Servers
    settings: Settings
    database: Database

    @contextmanager
    def serving(self, service: str, url: str) -> Iterator[psutil.Popen]:
        """The service at `url`, as `labelloop up` starts it."""
        with self.answering(services.gunicorn(service, urlsplit(url).netloc), url) as process:
            yield process

    @contextmanager
    def answering(self, words: Sequence[str], url: str) -> Iterator[psutil.Popen]:
        """`python -m` and these words, once `url` answers."""
        with self._process(*words) as process:
            wait_until(lambda: _answers(url), what=words[1])
            yield process

    @contextmanager
    def working(self, module: str) -> Iterator[psutil.Popen]:
        """A worker, once it has registered with the job queue."""
        last = self._last_worker()
        with self._process(module) as process:
            wait_until(lambda: self._last_worker() > last, what=module)
            yield process

    @contextmanager
    def consuming(self, words: Sequence[str]) -> Iterator[psutil.Popen]:
        """`python -m` and these words: a consumer of a queue."""
        with self._process(*words) as process:
            yield process

    @contextmanager
    def _process(self, *words: str) -> Iterator[psutil.Popen]:
        env = python_env() | self.settings.to_env()
        log = self.settings.data_dir / "processes.log"
        with log.open("ab") as out:
            process = psutil.Popen(
                [sys.executable, "-m", *words],
                cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except psutil.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def project_id(self, loop: str) -> ProjectId:
        with self.database.transaction() as conn:
            row = projects.get(conn, loop)
        assert row is not None
        return row.id

    def remove_projects(self, web: httpx.Client) -> None:
        """Take everything that this house made out of Label Studio again."""
        with self.database.transaction() as conn:
            rows = conn.execute("select project_id from projects where project_id is not null").fetchall()
        for row in rows:
            self.servers.remove_project(web, row["project_id"])

    def _last_worker(self) -> int:
        with self.database.transaction() as conn:
            row = conn.execute("select coalesce(max(id), 0) as id from procrastinate_workers").fetchone()
        return int(row["id"]) if row else 0


@contextmanager
def house(servers: Servers) -> Iterator[House]:
    """A migrated database and a folder of its own; both are gone afterwards."""
    name = f"labelloop_bench_{secrets.token_hex(6)}"
    url = urlsplit(servers.postgres)._replace(path=f"/{name}").geturl()
    with tempfile.TemporaryDirectory(prefix="labelloop-bench-") as folder:
        settings = Settings(
            data_dir=Path(folder),
            models_dir=Path(folder) / "models",
            loops_dir=ROOT / "labeling_configs",
            database_url=url,
            label_studio_url=servers.label_studio,
            label_studio_token=servers.token,
            sync_url=f"http://127.0.0.1:{free_port()}",
            backend_url=f"http://127.0.0.1:{free_port()}",
            intake_token="token-of-a-benchmark",
            hook_secret="secret-of-a-benchmark",
            backend_password="password-of-a-benchmark",
        )
        _admin(servers.postgres, "create database {}", name)
        try:
            migrate(url)
            with Database(url) as database:
                yield House(servers, settings, database)
        finally:
            _admin(servers.postgres, "drop database if exists {} with (force)", name)


def quiet(house: House) -> House:
    """The same house without webhook and ML backend."""
    return replace(house, settings=replace(house.settings, hook_secret="", backend_password=""))


def wait_until(true: Callable[[], object], seconds: float = 60.0, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise Failed(f"{what} has not come after {seconds:g} s")
        time.sleep(0.05)


def peak_mb(process: psutil.Popen) -> float:
    """Peak resident memory of a process and its children; pages that they share are counted for each."""
    found = [process.pid, *(child.pid for child in process.children(recursive=True))]
    lines = "".join(Path(f"/proc/{pid}/status").read_text() for pid in found)
    return sum(map(int, re.findall(r"VmHWM:\s+(\d+) kB", lines))) / 1024


def _admin(url: str, statement: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(sql.SQL(statement).format(sql.Identifier(name)))


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", timeout=5).status_code < 500
    except httpx.HTTPError:
        return False
