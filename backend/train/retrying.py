"""Retrying: repeats a write while Postgres is unreachable, so that finished work is not lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from labelloop.errors import Unreachable

T = TypeVar("T")
logger = logging.getLogger(__name__)


def retrying(do: Callable[[], T], *, for_s: float = 90.0) -> T:
    """Return the value of `do`, repeated each second while it raises Unreachable; raise that after `for_s` seconds.

    `do` must be safe to repeat.
    """
    deadline = time.monotonic() + for_s
    while True:
        try:
            return do()
        except Unreachable as exc:
            if time.monotonic() > deadline:
                raise
            logger.warning("retrying in 1 s: %s", exc)
            time.sleep(1)
