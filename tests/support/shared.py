"""One Label Studio for all processes of a parallel test run: the first to want it has the controller start it."""

from __future__ import annotations

import fcntl
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from console.local.label_studio import running
from tests.support.servers import PATIENT, a_postgres


class Shared:
    """In the controller: waits for somebody to want the server, starts it, and ends it with the run."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="labelloop-tests-")
        self.folder = Path(self._temporary.name)
        self.folder.chmod(0o711)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not (self.folder / "wanted").exists():
            if self._over.wait(0.2):
                return
        try:
            with (
                a_postgres() as postgres,
                running(
                    self.folder / "label-studio", postgres_url=postgres.url("postgres"), extra_env=PATIENT
                ) as server,
            ):
                where = {"url": server.url, "postgres": postgres.url("postgres")}
                _write(self.folder / "account", asdict(server.account) | where)
                self._over.wait()
        except Exception as exc:  # told to the processes that wait for it
            _write(self.folder / "account", {"error": str(exc)})

    def end(self) -> None:
        self._over.set()
        self._thread.join()
        self._temporary.cleanup()


def ask_for(folder: Path) -> None:
    """In a worker: have the controller start the server, without waiting for it."""
    (folder / "wanted").touch()


def wanted(folder: Path) -> dict[str, str]:
    """In a worker: url, token, email and password, and the Postgres that it is on, as soon as the server is up."""
    ask_for(folder)
    while not (folder / "account").exists():
        time.sleep(0.2)
    said: dict[str, str] = json.loads((folder / "account").read_text())
    assert "error" not in said, said["error"]
    return said


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """In a worker: have Label Studio together with others, or alone. A process that waits for it is not overtaken."""
    with (folder / "gate").open("w") as gate, (folder / "room").open("w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # a child of the test may still have the file open


def _write(file: Path, value: dict[str, str]) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(value))
    part.rename(file)
