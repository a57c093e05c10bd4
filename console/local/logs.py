"""The logs of the children: a file each, which they write themselves; cut when too long.

No pipe: a pipe whose reader stalls would stall the child, and one that outlives its child confuses the supervisor.
"""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

LIMIT = 20_000_000
"""Bytes of a log file before it is put aside; one older file is kept."""
EVERY_S = 5.0


class Logs:
    """Looks after the log files of `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look a last time."""
        if self._thread.is_alive():
            self._stopping.set()
            self._thread.join()

    def look(self) -> None:
        """One round over all files."""
        for file in sorted(self._folder.glob("*.log")):
            if file.exists() and file.stat().st_size > LIMIT:
                # The children append, so that a file cut under their hands goes on at its beginning.
                shutil.copyfile(file, file.with_suffix(".old"))
                file.open("w").close()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self.look()
        self.look()


class WithoutWaits(logging.Filter):
    """Drops what circus logs, with a traceback, when its look at the children falls into one of our requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and record.exc_info[0] and record.exc_info[0].__name__ == "ConflictError")


def tail(file: Path, lines: int = 15) -> str:
    """The last lines of a log, indented; empty where there is none."""
    try:
        said = file.read_bytes()[-20_000:].decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return ""
    return "\n".join("    " + line for line in said)
