"""A whole `labelloop up` of a test."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from console.local.leftovers import left_behind
from console.local.supervisor import ROOT
from labelloop.process.settings import Settings
from tests.support.network.ports import heed_ctrl_c

CHILDREN = {
    "postgres": "/data",
    "label-studio": "core.wsgi:application",
    "sync": "sync.service:from_env()",
    "sync-worker": "sync.worker",
    "backend": "backend.service:from_env()",
    "backend-worker": "backend.worker",
}


@dataclass
class Up:
    """One data folder, and the `up` that runs on it."""

    data_dir: Path
    options: list[str]
    process: subprocess.Popen[str] | None = None
    addresses: dict[str, str] = field(default_factory=dict)
    took_s: float = 0.0

    def start(self) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("LABELLOOP_")}
        heed_ctrl_c()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "labelloop", "up", "--json", "--data-dir", str(self.data_dir), *self.options],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=self.words.open("a"),
            text=True,
            start_new_session=True,
        )
        self.took_s = -time.monotonic()

    def ready(self) -> Up:
        """Wait for the JSON that it prints when everything is up."""
        assert self.process is not None
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if line == "}\n":
                break
        self.took_s += time.monotonic()
        assert said, f"up ended before it was ready:\n{self.words.read_text()}"
        self.addresses = json.loads(said)["addresses"]
        return self

    def end(self, number: int) -> int:
        """A signal to its process group, as a terminal sends it; the exit status."""
        assert self.process is not None
        os.killpg(self.process.pid, number)
        return self.process.wait(120)

    @property
    def words(self) -> Path:
        return self.data_dir.with_suffix(".words")

    @property
    def settings(self) -> Settings:
        return Settings.from_env({"LABELLOOP_DATA_DIR": str(self.data_dir)})

    @property
    def as_administrator(self) -> httpx.Client:
        token = {"Authorization": f"Token {self.settings.label_studio_token}"}
        return httpx.Client(base_url=self.settings.label_studio_url, headers=token, timeout=60)

    def child(self, name: str) -> psutil.Process | None:
        """The process that the supervisor runs under this name."""
        for process in left_behind(self.data_dir):
            try:
                parent = process.parent()
                words = [CHILDREN[name] in word for word in process.cmdline()]
                if any(words) and parent is not None and "circus.circusd" in parent.cmdline():
                    return process
            except psutil.NoSuchProcess:
                continue
        return None


def down(up: Up) -> int:
    return subprocess.run(cli("down", "--purge", "--data-dir", str(up.data_dir)), check=False, cwd=ROOT).returncode


def newest_worker(up: Up) -> int:
    with psycopg.connect(up.settings.database_url) as conn:
        row = conn.execute("select coalesce(max(id), 0) from procrastinate_workers").fetchone()
    assert row is not None
    return int(row[0])


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_work(up: Up) -> bool:
    """Both workers have registered and beat, and the three services answer."""
    settings = up.settings
    with psycopg.connect(settings.database_url) as conn:
        beating = "select count(*) from procrastinate_workers where last_heartbeat > now() - make_interval(secs => %s)"
        row = conn.execute(beating, [3 * settings.heartbeat_s]).fetchone()
    answers = [
        httpx.get(settings.label_studio_url + "/health"),
        httpx.get(settings.sync_url + "/readyz"),
        httpx.get(settings.backend_url + "/health", auth=(settings.backend_user, settings.backend_password)),
    ]
    return row is not None and int(row[0]) >= 2 and all(answer.is_success for answer in answers)


def until(good: Callable[[], Any], what: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if good():
                return
        except (httpx.HTTPError, psycopg.OperationalError):
            pass
        time.sleep(0.1)
    pytest.fail(f"not within {seconds:g} s: {what}")


def cli(*words: str) -> list[str]:
    return [sys.executable, "-m", "labelloop", *words]
