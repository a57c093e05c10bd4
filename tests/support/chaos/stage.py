"""The whole product for a run: the processes of `labelloop up` under its supervisor, with a link between each two."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from console.local.label_studio import LabelStudio
from console.local.leftovers import mark
from console.local.postgres import Command, Postgres, create_database
from console.local.services import BACKEND, SYNC, gunicorn
from console.local.supervisor import ROOT, Supervisor, python_env
from labelloop.process import rooms
from labelloop.process.settings import FILE, Settings
from labelloop.spec.folder import load_all
from labelloop.store.database import Database
from labelloop.store.migrate import migrate
from labelloop.store.tables import loops
from tests.support import servers
from tests.support.chaos.links import HttpLink, TcpLink
from tests.support.chaos.schedule import POSTGRES_LINKS
from tests.support.network.ports import own_port
from tests.support.workers.backend_worker import PROGRAM

LOOPS = {"one": 1, "two": 2}
"""Name of each loop, and the number of people who answer each of its tasks."""
LABELS = ("billing", "delivery", "other")
GRACE_S = 30.0
"""Seconds of the grace: longer than an import can be late by a stop, a silence and a slow link."""
_XML = """<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="single-radio">
<Choice value="billing"/><Choice value="delivery"/><Choice value="other"/></Choices></View>"""
_YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [billing, delivery, other]
  overlap: {overlap}
  audit: 0.05
  holdout: 0.3
  queue: {{window: 30, audit: 0.1, holdout: 0.4, gold: 0.0}}
  learner: {{name: text, field: text}}
  retrain: {{after: 25, search: false, drift: false}}
  gate: {{min_holdout: 10, max_loss: 0.05}}
"""


@dataclass
class Stage:
    folder: Path
    supervisor: Supervisor
    settings: Settings
    postgres_url: str
    label_studio_url: str
    """Without a link: for people and for the census."""
    http: dict[str, HttpLink] = field(default_factory=dict)
    tcp: dict[str, TcpLink] = field(default_factory=dict)

    @property
    def people_at(self) -> servers.LabelStudio:
        own = self.settings
        return servers.LabelStudio(
            self.label_studio_url, own.label_studio_token, own.label_studio_user, own.label_studio_password
        )

    def tree(self, name: str) -> list[psutil.Process]:
        """Return the processes of a command, the first one and its children; empty while it is not there."""
        found: list[psutil.Process] = []
        for pid in self.supervisor.pids(name):
            with suppress(psutil.Error):
                head = psutil.Process(pid)
                found += [head, *head.children(recursive=True)]
        return found

    def signal(self, processes: list[psutil.Process], number: int) -> None:
        for process in processes:
            with suppress(psutil.Error):
                process.send_signal(number)

    def kill(self, name: str, rng: random.Random) -> None:
        """SIGKILL for the process, and half of the time for its children too."""
        processes = self.tree(name)
        self.signal(processes if rng.random() < 0.5 else processes[:1], signal.SIGKILL)

    def stop(self, name: str) -> None:
        """End a command for good."""
        self.supervisor._ask("stop", name=name, waiting=True, wait_s=30)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of labelloop on this stage."""
        return subprocess.run(
            [sys.executable, "-m", "labelloop", *words], check=False, capture_output=True, text=True, cwd=ROOT,
            env=python_env() | self.settings.to_env() | {"PYTHONPATH": str(ROOT)}, timeout=180,
        )  # fmt: skip

    def calm(self) -> None:
        """End all bad weather."""
        for link in self.http.values():
            link.rate = 0.0
        for line in self.tcp.values():
            line.speak()
        for name in (*POSTGRES_LINKS, "postgres", "label-studio"):
            self.signal(self.tree(name), signal.SIGCONT)


@contextmanager
def stage(folder: Path, seed: int, tell: Callable[[str], object], dump: Path | None = None) -> Iterator[Stage]:
    """Start everything in the folder, and end it. `dump`: a dump of a database of Label Studio, and its account.json;
    to create the tables anew takes a minute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    supervisor = Supervisor(folder)
    links: list[HttpLink | TcpLink] = []
    postgres = Postgres(folder / "postgres")
    try:
        supervisor.start()
        postgres.prepare()
        supervisor.add("postgres", postgres.command(), stop_signal=signal.SIGINT)
        supervisor.until(postgres.is_up, 60, "postgres")
        tell("Postgres is up")
        studio = _label_studio(folder, supervisor, postgres, dump)
        tell("Label Studio is up")
        made = _rooms(folder, supervisor, postgres, studio, random.Random(seed), links)
        tell("sync, backend and their workers are up")
        yield made
    finally:
        supervisor.stop(last="postgres")
        for link in links:
            link.close()
        postgres.remove()


def _label_studio(folder: Path, supervisor: Supervisor, postgres: Postgres, dump: Path | None) -> LabelStudio:
    create_database(postgres.url("postgres"), "labelloop_label_studio")  # the name that `up` gives it
    url = postgres.url("labelloop_label_studio")
    studio = LabelStudio(folder / "label-studio", port=own_port(), database_url=url, extra_env=mark(folder))
    if dump is not None:
        studio.folder.mkdir()
        shutil.copy(dump / "account.json", studio.folder)
        restore = ["psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(dump / "dump.sql"), url]
        subprocess.run(restore, check=True, stdout=subprocess.DEVNULL)
    studio.prepare()
    supervisor.add("label-studio", studio.command())
    supervisor.until(studio.is_up, 180, "label-studio")
    return studio


def _rooms(
    folder: Path,
    supervisor: Supervisor,
    postgres: Postgres,
    studio: LabelStudio,
    rng: random.Random,
    links: list[HttpLink | TcpLink],
) -> Stage:
    url = postgres.create_database("labelloop")
    migrate(url)
    for name, overlap in LOOPS.items():
        (folder / "loops" / name).mkdir(parents=True)
        (folder / "loops" / name / "labels.xml").write_text(_XML)
        (folder / "loops" / name / "loop.yaml").write_text(_YAML.format(overlap=overlap))
    specs, faults = load_all(folder / "loops")
    assert not faults, faults
    with Database(url) as database, database.transaction() as conn:
        for spec in specs:
            loops.register(conn, spec)

    ports = {"sync": own_port(), "backend": own_port()}
    at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    targets = {"intake": at["sync"], "doorbell": at["sync"], "label-studio": studio.url, "ml-backend": at["backend"]}
    http = {name: HttpLink(name, target, random.Random(rng.random())) for name, target in targets.items()}
    tcp = {name: TcpLink(name, postgres.port) for name in POSTGRES_LINKS}
    links += [*http.values(), *tcp.values()]
    settings = Settings(
        data_dir=folder, loops_dir=folder / "loops", models_dir=folder / "models", database_url=url,
        label_studio_url=http["label-studio"].url, label_studio_token=studio.account.token,
        label_studio_user=studio.account.email, label_studio_password=studio.account.password,
        sync_url=http["doorbell"].url, backend_url=http["ml-backend"].url, intake_token="of-pipelines",
        hook_secret="of-the-doorbell", backend_password="of-the-backend", secret_key="of-the-pages",
        push_grace_s=GRACE_S, pull_every_s=3.0, heartbeat_s=2.0,
    )  # fmt: skip
    (folder / FILE).write_text("".join(f"{k}={v}\n" for k, v in settings.to_env().items()))

    def run(name: str, *argv: str) -> None:
        through = urlsplit(url)
        user = through.netloc.rpartition("@")[0]
        own = through._replace(netloc=f"{user}@127.0.0.1:{tcp[name].port}").geturl()
        env = python_env() | settings.to_env() | {"LABELLOOP_DATABASE_URL": own, "PYTHONPATH": str(ROOT)}
        env |= {"OMP_NUM_THREADS": "1"}
        supervisor.add(name, Command(argv, str(ROOT), env))

    run("sync", *rooms.python(*gunicorn(SYNC, f"127.0.0.1:{ports['sync']}")))
    run("backend", *rooms.python(*gunicorn(BACKEND, f"127.0.0.1:{ports['backend']}")))
    run("sync-worker", *rooms.python("sync.worker"))
    run("sync-worker-2", *rooms.python("sync.worker"))
    run("backend-worker", sys.executable, "-c", PROGRAM)
    supervisor.until(lambda: _answers(at["sync"] + "/healthz") and _answers(at["backend"] + "/health"), 60, *ports)
    return Stage(folder, supervisor, settings, url, studio.url, http, tcp)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def dump_of(admin_url: str, label_studio: servers.LabelStudio, folder: Path) -> Path | None:
    """Return a folder for `stage`, made of a Label Studio that runs; None without pg_dump or without its password."""
    if shutil.which("pg_dump") is None or shutil.which("psql") is None or not label_studio.password:
        return None
    import psycopg

    with psycopg.connect(admin_url) as conn:
        names = [row[0] for row in conn.execute("select datname from pg_database where datname like 'label_studio_%'")]
    if len(names) != 1:
        return None
    source = urlsplit(admin_url)._replace(path=f"/{names[0]}").geturl()
    folder.mkdir()
    command = ["pg_dump", "--no-owner", "-f", str(folder / "dump.sql"), source]
    if subprocess.run(command, check=False).returncode:
        return None  # pg_dump is older than the server
    account = {"email": label_studio.email, "password": label_studio.password, "token": label_studio.token}
    (folder / "account.json").write_text(json.dumps(account | {"secret_key": os.urandom(32).hex()}))
    return folder


def until(true: Callable[[], Any], seconds: float) -> bool:
    """Wait until it is true; False if it is not in time."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True
