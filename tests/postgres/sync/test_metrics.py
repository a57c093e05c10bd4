"""Metrics of the sync service: two processes count together, and strangers see nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx

from console.local import services
from console.local.supervisor import ROOT, python_env
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.backend_factory import settings_for, texts_spec
from tests.support.ml_backend import series, until

TOKEN = "the-intake-token"


def test_two_processes_count_together_and_the_dead_are_forgotten(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with database.transaction() as conn:
        loops.register(conn, texts_spec())
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    shared = tmp_path / "metrics"
    shared.mkdir()
    (shared / f"gauge_livesum_{gone.pid}.db").write_bytes(b"")
    settings = replace(settings_for(database_url, tmp_path), intake_token=TOKEN)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [sys.executable, "-m", *services.gunicorn(services.SYNC, address)]
    env = {**python_env(), **settings.to_env(), "PROMETHEUS_MULTIPROC_DIR": str(shared)}
    log = tmp_path / "sync.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        until(lambda: _answers(f"http://{address}/healthz"))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"http://{address}/v1/loops/texts/outputs"
        for i in range(12):  # a connection each, so that both processes get some
            said = {"key": f"k{i // 2}", "data": {"text": "x"}, "probabilities": {"ham": 0.5, "spam": 0.5}}
            assert httpx.post(url, json=said, headers=headers, timeout=60).is_success
        assert httpx.post(url, json={"key": "k"}, headers=headers, timeout=60).status_code == 422
        assert httpx.post(f"http://{address}/v1/loops/none/outputs", json={}, headers=headers).status_code == 404
        assert httpx.get(f"http://{address}/metrics", timeout=60).status_code == 401
        for _ in range(4):
            page = httpx.get(f"http://{address}/metrics", headers=headers, timeout=60).text
            found = series(page)
            assert found["labelloop_intake_outputs_total became=new loop=texts"] == 6
            assert found["labelloop_intake_outputs_total became=known loop=texts"] == 6
            assert found["labelloop_intake_outputs_total became=refused loop=texts"] == 1
            assert found["labelloop_requests_total route=submit status=404"] == 1
            assert found["labelloop_open_tasks loop=texts"] == 0
            assert TOKEN not in page
        assert not (shared / f"gauge_livesum_{gone.pid}.db").exists()
    finally:
        process.terminate()
        process.wait(timeout=30)
    assert TOKEN not in log.read_text()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.TransportError:
        return False
