"""What a whole `up` of a test needs: ports that another does not look for, and a Ctrl-C that it heeds."""

from __future__ import annotations

import random
import signal

from console.local.places import is_free


def free_base() -> int:
    """For --port-base: all that `up` wants from there on is free."""
    while True:
        base = random.randrange(20_000, 30_000)
        if all(is_free(base + offset) for offset in (0, 1, 2, 80)):
            return base


def heed_ctrl_c() -> None:
    """What a shell runs in the background ignores Ctrl-C, and children inherit that: not those that we start now."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
