"""Our ML backend, on a free port of this process or under gunicorn, and what Label Studio says to it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.serving import make_server

from backend.decide.promote import promote
from backend.serve import champions
from backend.service import create_app, from_env
from backend.train.train import train
from console.local import services
from console.local.supervisor import ROOT, python_env
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import runs
from tests.support import backend_factory
from tests.support.backend_factory import CONFIGS, answer, digits_loop, put_into_label_studio
from tests.support.network.ports import free_address

PASSWORD = "p"
PROJECT = "30.1795451333"
FORM = (CONFIGS / "digits" / "labels.xml").read_text()


@contextmanager
def ml_backend(
    settings: Settings, database: Database, models_dir: Path, *, password: str = PASSWORD, port: int = 0
) -> Iterator[str]:
    """Yields its URL. `port`: 0 for a free one."""
    app = create_app(replace(settings, backend_password=password, models_dir=models_dir), database)
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def impatient() -> Flask:
    """The service of this environment; it looks who is champion as often as tests swap."""
    champions.CHECK_EVERY_S = 0.02
    return from_env()


@contextmanager
def gunicorn(settings: Settings, log: Path, **environ: str) -> Iterator[str]:
    """The backend as `labelloop up` runs it, for the length of a `with`; yields its URL."""
    address = free_address()
    words = services.gunicorn(services.BACKEND, address)
    words[1] = "tests.support.ml_backend:impatient()"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT, env={**python_env(), **settings.to_env(), **environ}, stdout=out, stderr=out,
        )  # fmt: skip

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"http://{address}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    try:
        until(answers)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def series(text: str) -> dict[str, float]:
    """Name and labels to value, of a page of metrics."""
    return {
        " ".join([sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def basic(user: str = "labelloop", password: str = backend_factory.PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}


def champion(database: Database, settings: Settings, spec: LoopSpec) -> str:
    """A trained version, promoted by hand; returns its id. Called again it makes another one."""
    with database.transaction() as conn:
        taught = conn.execute("select id from outputs where not holdout order by key limit 1").fetchone()
        assert taught is not None
        answer(conn, spec.name, {taught["id"]: str(len(runs.latest(conn, spec.name)))})
        run_id = runs.request(conn, spec.name, "a test")
        assert run_id is not None
        assert runs.claim(conn, spec.name, None) is not None
    version: str = train(database, settings.models_dir, run_id)["version"]
    with database.transaction() as conn:
        runs.finish(conn, run_id, "refused", version_id=version)
    promote(database, spec.name, version, "a test", "to serve", models_dir=settings.models_dir)
    return version


def tasks(database: Database, n: int) -> list[dict[str, Any]]:
    """As Label Studio sends them."""
    with database.transaction() as conn:
        rows = conn.execute(
            "select o.id, o.key, o.data, o.label from tasks join outputs o on o.id = output_id limit %s", (n,)
        ).fetchall()
    return [
        {
            "id": i,
            "data": {**row["data"], "labelloop_output": str(row["id"]), "labelloop_label": row["label"]},
            "meta": {},
            "created_at": "2026-11-23T20:00:00Z",
            "annotations": [],
            "predictions": [],
        }
        for i, row in enumerate(rows)
    ]


def predict_body(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "tasks": found,
        "project": PROJECT,
        "label_config": FORM,
        "params": {"login": None, "password": None, "context": None},
    }


def setup_body() -> dict[str, Any]:
    return {
        "project": PROJECT,
        "schema": FORM,
        "hostname": "http://localhost:8080",
        "access_token": "the-owners-token",
        "extra_params": {"a": 1},
    }


def digits_in_review(database: Database) -> LoopSpec:
    """Make a loop of digits with 100 answers, and 20 tasks that are open in Label Studio."""
    spec = digits_loop(database, n=120, answered=100)
    with database.transaction() as conn:
        put_into_label_studio(conn, spec.name, 20)
    return spec
