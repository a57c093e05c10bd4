"""Threads: linear algebra on one of them, in a process whose own threads do it at the same time."""

from __future__ import annotations

import threading
from typing import Any

from threadpoolctl import threadpool_limits


class _OneThread:
    """A `with` in which numpy's libraries use one thread: a setting of the whole process, so the last out resets it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._limit = threadpool_limits(1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.unregister()


one_thread = _OneThread()
"""Small arrays gain nothing from more, and on a busy machine lose ten times the time; sums are the same to the bit."""
