"""The ports of the servers that `up` starts: the same at every start unless one is busy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from console.local.places import is_free, who_listens
from labelloop.errors import UsageError

BASE = 8600
OFFSETS = {"postgres": 0, "sync": 1, "backend": 2, "label-studio": 80}


def choose(file: Path, names: Iterable[str], base: int | None, announce: Callable[[str], object]) -> dict[str, int]:
    """Choose a free port for each name, and store it in `file` for the next start.

    If the user gave a `base`, a busy port raises UsageError that names its process; else the next free one is taken.
    """
    kept = json.loads(file.read_text()) if file.exists() else {}
    chosen: dict[str, int] = {}
    for name in names:
        offset = OFFSETS[name]
        port = kept.get(name, BASE + offset) if base is None else base + offset
        if not is_free(port):
            who = who_listens(port)
            if base is not None:
                raise UsageError(f"port {port} for {name} is used by {who}: choose another --port-base")
            taken = {*chosen.values(), *kept.values(), *(BASE + o for o in OFFSETS.values())}
            free = next(p for p in range(port + 1, 65_536) if p not in taken and is_free(p))
            announce(f"port {port} is used by {who}; {name} gets {free}")
            port = free
        chosen[name] = port
    file.write_text(json.dumps(kept | chosen))
    return chosen
