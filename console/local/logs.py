"""The logs of the child processes: one file each, which they write themselves, and which is truncated if too long.

No pipes: a stalled reader would stall the child, and a pipe that outlives its child confuses the supervisor.
"""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

MAX_LOG_BYTES = 20_000_000
"""Size at which a log file is copied to .old and truncated; one older file is kept."""
EVERY_S = 5.0


class Logs:
    """Truncates long log files of `folder`, in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Check the files a last time and end the thread."""
        if self._thread.is_alive():
            self._stopping.set()
            self._thread.join()

    def check(self) -> None:
        """Truncate each file that is too long."""
        for file in sorted(self._folder.glob("*.log")):
            if file.exists() and file.stat().st_size > MAX_LOG_BYTES:
                # The children open their logs for appending, so after a truncation they continue at the start.
                shutil.copyfile(file, file.with_suffix(".old"))
                file.open("w").close()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self.check()
        self.check()


class WithoutWaits(logging.Filter):
    """Drops the tracebacks that circus logs if its periodic check coincides with one of our requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and record.exc_info[0] and record.exc_info[0].__name__ == "ConflictError")


def tail(file: Path, lines: int = 15) -> str:
    """Return the last lines of a log, indented; empty if the file is missing."""
    try:
        end = file.read_bytes()[-20_000:].decode(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return ""
    return "\n".join("    " + line for line in end)
