"""Ports, secret files and folders on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path

import psutil

from labelloop.errors import Failed

SYSTEM_DATA_ROOT = Path("/var/lib/labelloop")
"""Folder for the files of a server whose user cannot enter the data folder."""
KEEP_ALIVE = ("--keep-alive", "15")
"""Options of gunicorn. With its default of 2 s it closes connections that clients reuse for longer (httpx: 5 s)."""


def write_secret(file: Path, text: str) -> None:
    """Write a file of mode 0600 atomically."""
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "w") as out:
        out.write(text)
    Path(name).rename(file)


def outside(folder: Path) -> Path:
    """Create a new folder below SYSTEM_DATA_ROOT for files that cannot be in `folder`. Leftovers are never reused."""
    SYSTEM_DATA_ROOT.mkdir(mode=0o711, parents=True, exist_ok=True)
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    for i in range(1, 10_000):
        made = SYSTEM_DATA_ROOT / (name if i == 1 else f"{name}-{i}")
        try:
            made.mkdir(mode=0o700)
            return made
        except FileExistsError:
            continue
    raise Failed(f"{SYSTEM_DATA_ROOT} is full of unused folders: delete those")


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Return whether a server can listen on 127.0.0.1 at `port` now."""
    with socket.socket() as probe:
        # As servers do, so that remains of closed connections do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def who_listens(port: int) -> str:
    """Return the name of the process on a busy port; "another process" without the rights to see it."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
            if listens and connection.pid:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (process {process.pid})"
    except psutil.Error:
        pass
    return "another process"
