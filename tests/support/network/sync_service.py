"""The sync service in processes of its own, as `labelloop up` starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from console.local import services
from labelloop.spec.folder import parse
from tests.support.network.ports import free_address

TOKEN = "secret"
PETS = parse("pets", "feedback_loop: {trigger: model_confidence < 0.8, labels: [cat, dog], audit: 0, holdout: 0}")
"""People are asked about every output with a confidence below 0.8, and about no other."""


@contextmanager
def running(database_url: str, folder: Path, address: str | None = None) -> Iterator[str]:
    """Yields the service's URL. `address` is host:port, for a service that comes back at the same place."""
    address = address or free_address()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LABELLOOP_")},
        "LABELLOOP_DATABASE_URL": database_url,
        "LABELLOOP_INTAKE_TOKEN": TOKEN,
        "LABELLOOP_DATA_DIR": str(folder),
        "HOME": str(folder),
    }
    command = services.gunicorn(services.SYNC, address)
    with (folder / "service.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", *command], env=env, stderr=log, stdout=log)
    try:
        _wait_for(f"http://{address}/healthz", process, folder / "service.log")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(url, timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer: {log.read_text()}")
