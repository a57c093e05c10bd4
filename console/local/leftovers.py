"""Processes left behind by a killed start: found by a mark in their environment, and ended.

A mark, not a list of process numbers: every child inherits it, and it cannot name a foreign process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from pathlib import Path

import psutil

MARK = "LABELLOOP_RUN"
SOCKETS = "sockets"
"""A link in the data folder to the folder of the supervisor's sockets."""
GRACE_S = 8.0
"""Seconds between the first signal and SIGKILL."""


def mark(data_dir: Path) -> dict[str, str]:
    """Return the variable that marks the environment of every process of this data folder."""
    return {MARK: str(data_dir.resolve())}


def left_behind(data_dir: Path) -> list[psutil.Process]:
    """Return the running processes that were started for this data folder."""
    name = mark(data_dir)[MARK]
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == name:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def sweep(data_dir: Path) -> int:
    """End every process of this data folder and remove the sockets. Returns the number of processes."""
    found = left_behind(data_dir)
    supervisors = [p for p in found if _is(p, "circus.circusd")]
    # The supervisor first, or it restarts what we end. On SIGTERM it ends its children itself.
    _end(supervisors, GRACE_S + 4)
    _end(left_behind(data_dir), GRACE_S)
    link = data_dir / SOCKETS
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    return len(found)


def _end(processes: list[psutil.Process], grace_s: float) -> None:
    for process in processes:
        # On SIGTERM, Postgres would wait until all clients have left.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def _is(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False
