"""What a whole `up` of a test needs: ports that another does not look for, and a Ctrl-C that it heeds."""

from __future__ import annotations

import random
import signal

from labelloop.local.places import is_free


def free_base() -> int:
    """For --port-base: all that `up` wants from there on is free."""
    while True:
        base = random.randrange(20_000, 30_000)
        if all(is_free(base + offset) for offset in (0, 1, 2, 80)):
            return base


def heeds_ctrl_c() -> None:
    """In the child, before it starts: shells let what they run in the background ignore Ctrl-C, and that is inherited."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
