"""The processes that a process has started, as the kernel lists them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

JOBS = ("backend.encode.", "backend.report.", "backend.train.")
"""Beginnings of the modules that a job of the worker runs in a process of their own."""


def children(pid: int) -> list[int]:
    """Ids of the processes that this process started; the kernel lists them by thread."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended meanwhile
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def gone(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def sockets(process: psutil.Process) -> list[Any]:
    """Its sockets of the internet; none if it has ended meanwhile, as a process of Postgres does with its client."""
    with suppress(psutil.NoSuchProcess):
        return list(process.net_connections("inet"))
    return []


def words(process: psutil.Process) -> list[str]:
    """Its command; none if it has ended meanwhile."""
    with suppress(psutil.NoSuchProcess):
        return list(process.cmdline())
    return []


def jobs_of_ours() -> dict[int, str]:
    """Commands of the jobs' processes that this process has started and not ended, by process id."""
    found = {}
    for pid in children(os.getpid()):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")  # empty for a zombie
            if any(word.startswith(JOBS) for word in words):
                found[pid] = " ".join(words).strip()
    return found
