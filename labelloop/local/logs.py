"""The logs of the children: a file each, which they write themselves; cut when too long, and shown on the terminal.

No pipe: a pipe whose reader stalls would stall the child, and one that outlives its child confuses the supervisor.
"""

from __future__ import annotations

import logging
import shutil
import sys
import threading
from pathlib import Path

LIMIT = 20_000_000
"""Bytes of a log file before it is put aside; one older file is kept."""
EVERY_S = 0.3


class Logs:
    """Looks after the log files of `folder`, and with `echo` prints each new line with its file's name before it."""

    def __init__(self, folder: Path, *, echo: bool) -> None:
        self._folder = folder
        self._echo = echo
        self._read: dict[str, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)

    def start(self) -> None:
        """From now on; what the files hold already is not shown again."""
        self._read = {file.stem: file.stat().st_size for file in self._files()}
        self._thread.start()

    def stop(self) -> None:
        """Show what is left, and stop looking."""
        if self._thread.is_alive():
            self._stopping.set()
            self._thread.join()

    def look(self) -> None:
        """One round over all files."""
        for file in self._files():
            if self._echo:
                self._show(file)
            if file.stat().st_size > LIMIT:
                # The children append, so that a file cut under their hands goes on at its beginning.
                shutil.copyfile(file, file.with_suffix(".old"))
                file.open("w").close()
                self._read[file.stem] = 0

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_S):
            self.look()
        self.look()

    def _files(self) -> list[Path]:
        return [file for file in sorted(self._folder.glob("*.log")) if file.exists()]

    def _show(self, file: Path) -> None:
        with file.open("rb") as opened:
            opened.seek(self._read.get(file.stem, 0))
            # Whole lines only: the rest is shown when it has come.
            whole, newline, _ = opened.read().rpartition(b"\n")
        if newline:
            self._read[file.stem] = self._read.get(file.stem, 0) + len(whole) + 1
            for line in whole.decode(errors="replace").split("\n"):
                sys.stdout.write(f"{file.stem:<14} | {line}\n")
            sys.stdout.flush()


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
