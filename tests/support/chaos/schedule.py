"""The faults of a run, drawn from its seed before it begins: what, where, when and for how long."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

PROCESSES = ("postgres", "label-studio", "sync", "sync-worker", "sync-worker-2", "backend", "backend-worker")
HTTP_LINKS = ("intake", "label-studio", "doorbell", "ml-backend")
POSTGRES_LINKS = ("sync", "sync-worker", "sync-worker-2", "backend", "backend-worker")
"""Processes of ours; each reaches Postgres by a link of its own."""


@dataclass(frozen=True, slots=True)
class Fault:
    at_s: float
    """Seconds from the begin of the run."""
    kind: str
    """kill, stop (SIGSTOP, then SIGCONT), bad weather (on a link of HTTP), reset or silence (on a link to Postgres)."""
    where: str
    for_s: float = 0.0

    def __str__(self) -> str:
        lasts = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.at_s:6.1f} s  {self.kind} {self.where}{lasts}"


def schedule(seed: int, seconds: float) -> list[Fault]:
    """Return the faults in the order of their times: each process is killed once at least."""
    rng = random.Random(seed)
    n = max(1, round(seconds / 60))
    faults = [_kill(rng, seconds, name) for name in PROCESSES for _ in range(n)]
    faults += [_one(rng, seconds, "bad weather", HTTP_LINKS, 5, 15) for _ in range(4 * n)]
    faults += [Fault(rng.uniform(2, seconds), "bad weather", link, 12.0) for link in HTTP_LINKS]
    faults += [_one(rng, seconds, "stop", PROCESSES, 1, 9) for _ in range(3 * n)]
    faults += [_one(rng, seconds, "reset", POSTGRES_LINKS, 0, 0) for _ in range(4 * n)]
    faults += [_one(rng, seconds, "silence", POSTGRES_LINKS, 2, 9) for _ in range(3 * n)]
    return sorted(faults, key=lambda fault: fault.at_s)


def _kill(rng: random.Random, seconds: float, name: str) -> Fault:
    return Fault(rng.uniform(3, seconds), "kill", name)


def _one(rng: random.Random, seconds: float, kind: str, names: Sequence[str], least: float, most: float) -> Fault:
    return Fault(rng.uniform(3, seconds), kind, rng.choice(names), rng.uniform(least, most))
