"""Threads: limit linear algebra to one thread, in a process that runs it from several threads at once."""

from __future__ import annotations

import threading
from typing import Any

from threadpoolctl import threadpool_limits


class _OneThread:
    """A `with` block in which numpy's libraries use one thread.

    The limit holds for the whole process, so the last block that ends resets it.
    """

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
"""Small arrays gain nothing from more threads, and on a busy machine they take ten times as long. Sums are equal to the
bit.
"""
