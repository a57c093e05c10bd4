"""Memory at rest: our processes as `labelloop up` starts them, with a champion that serves, beside Label Studio's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks import predict
from benchmarks.support.goals import MEMORY, Measured
from benchmarks.support.rooms import House, Servers, house
from console.local.services import BACKEND, SYNC
from labelloop.errors import Failed

RESTS_S = 15.0
"""Seconds of rest before a measurement; the work of a start is done by then."""
Found = dict[str, tuple[float, float]]
"""Process to its megabytes: PSS, in which memory that processes share counts once in all, and RSS."""


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    with house(servers) as our, servers.http() as web:
        try:
            ours = _at_rest(our, 2.0 if quick else RESTS_S)
        finally:
            our.remove_projects(web)
    theirs = _sizes({"Label Studio": _listening(servers.label_studio)})
    facts = "; ".join(f"{name} {pss:.0f} MB (RSS {rss:.0f})" for name, (pss, rss) in {**ours, **theirs}.items())
    ratio = sum(pss for pss, _ in ours.values()) / sum(pss for pss, _ in theirs.values())
    return [Measured(MEMORY, [ratio], facts)]


def _at_rest(our: House, rests_s: float) -> Found:
    """Measure a loop whose champion has answered once, and whose worker has labelled the waiting outputs."""
    served = predict.champion_of_digits(our)
    with ExitStack() as stack:
        running = {
            "sync": stack.enter_context(our.serving(SYNC, our.settings.sync_url)),
            "backend": stack.enter_context(our.serving(BACKEND, our.settings.backend_url)),
            "sync worker": stack.enter_context(our.working("sync.worker")),
            "backend worker": stack.enter_context(our.working("backend.worker")),
        }
        predict.ask_once(our, served)
        time.sleep(rests_s)
        return _sizes({name: [one, *one.children(recursive=True)] for name, one in running.items()})


def _sizes(processes: Mapping[str, Iterable[psutil.Process]]) -> Found:
    return {name: (_sum(some, "Pss"), _sum(some, "Rss")) for name, some in processes.items()}


def _sum(processes: Iterable[psutil.Process], what: str) -> float:
    lines = "".join(Path(f"/proc/{process.pid}/smaps_rollup").read_text() for process in processes)
    return sum(map(int, re.findall(rf"^{what}:\s+(\d+) kB", lines, re.MULTILINE))) / 1024


def _listening(url: str) -> list[psutil.Process]:
    """The server at `url` on this machine, with all of its processes."""
    port = urlsplit(url).port
    pids = {
        c.pid
        for c in psutil.net_connections("tcp")
        if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr[1] == port
    }
    found = [psutil.Process(pid) for pid in pids if pid]
    if not found:
        raise Failed(f"nothing on this machine listens at {url}: its memory cannot be read")
    head = found[0]
    while (parent := head.parent()) is not None and parent.cmdline() == head.cmdline():
        head = parent  # gunicorn's first process hands its socket on
    return [head, *head.children(recursive=True)]
