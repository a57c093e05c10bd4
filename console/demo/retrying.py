"""Waiting for a hop, with retries while a service restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from labelloop.errors import Failed, Retriable

GIVE_UP_AFTER_S = 300.0
T = TypeVar("T")


def retrying(what: str, check: Callable[[], T | None]) -> T:
    """Call `check` until it returns a value, and return that. Raises Failed after GIVE_UP_AFTER_S."""
    deadline = time.monotonic() + GIVE_UP_AFTER_S
    error = "no result"
    while time.monotonic() < deadline:
        try:
            found = check()
            if found is not None:
                return found
        except Retriable as exc:
            error = str(exc)
        time.sleep(0.25)
    raise Failed(f"{what}: {error} within {GIVE_UP_AFTER_S:g} s; see the logs in the data folder")
