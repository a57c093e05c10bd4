"""The ports of the servers that `up` starts: the same at every start unless one is busy.

Each `up` reserves its ports from their choice to its end. On Linux, two that start at the same moment never choose the
same one.
"""

from __future__ import annotations

import errno
import json
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from console.local.places import is_free, who_listens
from labelloop.errors import UsageError

FILE = "ports.json"
"""The file in a data folder with its ports."""
BASE = 8600
OFFSETS = {"postgres": 0, "sync": 1, "backend": 2, "label-studio": 80}


class Reserved:
    """The ports that this process has chosen for its servers. No other `up` on this machine chooses them meanwhile."""

    def __init__(self) -> None:
        self._marks: dict[int, socket.socket] = {}

    def take(self, port: int) -> bool:
        """Reserve the port. Returns False if a server listens on it, or if another process has reserved it."""
        if port in self._marks or not sys.platform.startswith("linux"):
            return is_free(port)
        mark = socket.socket(socket.AF_UNIX)
        try:
            # A name without a file: as ports are, one for all users of a machine, and free when the process ends.
            mark.bind(f"\0labelloop-port-{port}")
        except OSError as exc:
            mark.close()
            return exc.errno != errno.EADDRINUSE and is_free(port)  # a sandbox may allow no such names
        if not is_free(port):
            mark.close()
            return False
        self._marks[port] = mark
        return True

    def __enter__(self) -> Reserved:
        return self

    def __exit__(self, *_: object) -> None:
        for mark in self._marks.values():
            mark.close()
        self._marks.clear()


def choose(
    file: Path, names: Iterable[str], base: int | None, announce: Callable[[str], object], reserved: Reserved
) -> dict[str, int]:
    """Choose and reserve a free port for each name, and store it in `file` for the next start.

    If the user gave a `base`, a busy port raises UsageError that names its process; else the next free one is taken.
    """
    kept = json.loads(file.read_text()) if file.exists() else {}
    chosen: dict[str, int] = {}
    for name in names:
        offset = OFFSETS[name]
        port = kept.get(name, BASE + offset) if base is None else base + offset
        if not reserved.take(port):
            who = "another `labelloop up`" if is_free(port) else who_listens(port)
            if base is not None:
                raise UsageError(f"port {port} for {name} is used by {who}: choose another --port-base")
            taken = {*chosen.values(), *kept.values(), *(BASE + o for o in OFFSETS.values())}
            free = next(p for p in range(port + 1, 65_536) if p not in taken and reserved.take(p))
            announce(f"port {port} is used by {who}; {name} gets {free}")
            port = free
        chosen[name] = port
    file.write_text(json.dumps(kept | chosen))
    return chosen
