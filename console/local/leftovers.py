"""What a start that was killed has left behind: found by a mark in every process's environment, and ended.

A mark rather than a list of process numbers: it is inherited by every child, and cannot point to a stranger.
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
"""A link in the data folder to where the supervisor's sockets are."""
GRACE_S = 8.0
"""Seconds between the polite signal and SIGKILL."""


def mark(data_dir: Path) -> dict[str, str]:
    """What every process of this data folder has in its environment."""
    return {MARK: str(data_dir.resolve())}


def left_behind(data_dir: Path) -> list[psutil.Process]:
    """Every process that was started for this data folder and still runs."""
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
    """End every process of this data folder, and remove the sockets; says how many processes there were."""
    found = left_behind(data_dir)
    supervisors = [p for p in found if _is(p, "circus.circusd")]
    # The supervisor first, else it starts again what we end. On SIGTERM it ends its children itself.
    _end(supervisors, GRACE_S + 4)
    _end(left_behind(data_dir), GRACE_S)
    link = data_dir / SOCKETS
    if link.is_symlink():
        shutil.rmtree(link.resolve(), ignore_errors=True)
        link.unlink()
    return len(found)


def _end(processes: list[psutil.Process], patience_s: float) -> None:
    for process in processes:
        # Postgres takes SIGTERM as "when all clients have left".
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGINT if process.name() == "postgres" else signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=patience_s)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(alive, timeout=5)


def _is(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False
