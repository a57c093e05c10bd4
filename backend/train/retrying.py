"""Patience: Postgres may be away for a minute, and what was worked for must not be lost for that."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from labelloop.errors import Unreachable

T = TypeVar("T")
logger = logging.getLogger(__name__)


def retrying(do: Callable[[], T], *, for_s: float = 90.0) -> T:
    """The value of `do`, which may be done twice without harm; raises Unreachable after `for_s` seconds in vain."""
    deadline = time.monotonic() + for_s
    while True:
        try:
            return do()
        except Unreachable as exc:
            if time.monotonic() > deadline:
                raise
            logger.warning("waiting: %s", exc)
            time.sleep(1)
