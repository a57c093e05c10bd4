"""Free ports for the servers that tests start, and a Ctrl-C that is not ignored."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator

from console.local.places import is_free


def free_base() -> int:
    """For --port-base: all that `up` wants from there on is free."""
    while True:
        base = _own_range(20_000) + random.randrange(900)
        if all(is_free(base + offset) for offset in (0, 1, 2, 80)):
            return base


def free_address() -> str:
    """Return host:port, as `own_port`."""
    return f"127.0.0.1:{own_port()}"


def own_port() -> int:
    """Return a free port for a server that starts in a moment, or later again.

    The kernel could give a port of its own range to another process before the server is up.
    """
    return next(port for port in _TURN if is_free(port))


def _own_range(begin: int) -> int:
    """Each process of a parallel run has 1,000 ports of its own: another test may look at the same moment."""
    return begin + 1_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10)


def _ports() -> Iterator[int]:
    begin = random.randrange(1_000)
    while True:
        yield from (_own_range(10_000) + (begin + i) % 1_000 for i in range(1_000))


_TURN = _ports()


def heed_ctrl_c() -> None:
    """Make children react to Ctrl-C: a shell's background programs ignore it, and their children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
