"""Needs of a whole `up` in a test: free ports, and a Ctrl-C that is not ignored."""

from __future__ import annotations

import os
import random
import signal

from console.local.places import is_free


def free_base() -> int:
    """For --port-base: all that `up` wants from there on is free.

    Each process of a parallel run has a range of its own: another test may look at the same moment.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 10
    while True:
        base = 20_000 + 1_000 * process + random.randrange(900)
        if all(is_free(base + offset) for offset in (0, 1, 2, 80)):
            return base


def heed_ctrl_c() -> None:
    """Make children react to Ctrl-C: a shell's background programs ignore it, and their children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
