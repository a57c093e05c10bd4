"""The ports of what `up` starts: the same ones at every start, others where they are taken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from console.local.places import is_free, who_listens
from labelloop.errors import UsageError

BASE = 8600
OFFSETS = {"postgres": 0, "sync": 1, "backend": 2, "label-studio": 80}


def choose(file: Path, names: Iterable[str], base: int | None, announce: Callable[[str], object]) -> dict[str, int]:
    """A free port for each name, kept in `file` for the next start.

    With a `base` that the user gave, a busy port is an error that says who has it; without, the next free one is taken.
    """
    kept = json.loads(file.read_text()) if file.exists() else {}
    chosen: dict[str, int] = {}
    for name in names:
        offset = OFFSETS[name]
        port = kept.get(name, BASE + offset) if base is None else base + offset
        if not is_free(port):
            who = who_listens(port)
            if base is not None:
                raise UsageError(f"port {port}, which {name} would get, is taken by {who}: choose another --port-base")
            taken = {*chosen.values(), *kept.values(), *(BASE + o for o in OFFSETS.values())}
            free = next(p for p in range(port + 1, 65_536) if p not in taken and is_free(p))
            announce(f"port {port} is taken by {who}; {name} gets {free}")
            port = free
        chosen[name] = port
    file.write_text(json.dumps(kept | chosen))
    return chosen
