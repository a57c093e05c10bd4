"""Waiting for a hop, a service that was killed meanwhile included."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from labelloop.errors import Failed, Retriable

PATIENCE_S = 300.0
T = TypeVar("T")


def patiently(what: str, look: Callable[[], T | None]) -> T:
    """What `look` returns, once it is not None. Raises Failed after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    said = "nothing came"
    while time.monotonic() < deadline:
        try:
            found = look()
            if found is not None:
                return found
        except Retriable as exc:
            said = str(exc)
        time.sleep(0.25)
    raise Failed(f"{what}: {said} within {PATIENCE_S:g} s; see the logs in the data folder")
