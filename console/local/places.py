"""Where things go on this machine: ports, files that only their owner reads, folders that another user may enter."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from pathlib import Path

import psutil

from labelloop.errors import Failed

OUTSIDE = Path("/var/lib/labelloop")
"""Where a server's files go when its user cannot enter the data folder."""
KEEP_ALIVE = ("--keep-alive", "15")
"""Of gunicorn. Its own 2 s are less than clients keep a connection (httpx: 5 s): it would close it just as they ask."""


def write_secret(file: Path, text: str) -> None:
    """A file of mode 0600 that is there whole or not at all."""
    handle, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(handle, "w") as out:
        out.write(text)
    Path(name).rename(file)


def outside(folder: Path) -> Path:
    """A new folder outside for what cannot be in `folder`. A leftover of a folder that is gone is not taken over."""
    OUTSIDE.mkdir(mode=0o711, parents=True, exist_ok=True)
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    for i in range(1, 10_000):
        made = OUTSIDE / (name if i == 1 else f"{name}-{i}")
        try:
            made.mkdir(mode=0o700)
            return made
        except FileExistsError:
            continue
    raise Failed(f"{OUTSIDE} is full of leftovers: remove what is not in use")


def free_port() -> int:
    """Any port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1 at `port` now."""
    with socket.socket() as probe:
        # As servers do: what is left of closed connections does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def who_listens(port: int) -> str:
    """The process on a busy port, for a message; without rights it stays unnamed."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port
            if listens and connection.pid:
                process = psutil.Process(connection.pid)
                return f"{process.name()} (process {process.pid})"
    except psutil.Error:
        pass
    return "another process"
