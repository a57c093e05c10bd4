"""Ports for a whole `up` of a test, so that two at a time do not look for the same ones."""

from __future__ import annotations

import random

from labelloop.local.places import is_free


def free_base() -> int:
    """For --port-base: all that `up` wants from there on is free."""
    while True:
        base = random.randrange(20_000, 30_000)
        if all(is_free(base + offset) for offset in (0, 1, 2, 80)):
            return base
