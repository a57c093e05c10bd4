"""Deadline: the time that a request gives to your own or remote models; training and prelabeling set none.

The deadline belongs to the context, `with within(2.0): ...`, so that `predict` needs no further argument. At the
deadline a learner returns the predictions that it has. The other items get none, and no error is raised.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ANNOTATOR_S = 2.0
"""Seconds that an annotator's request waits for such a model; after that the form is empty."""
_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Set a deadline for a `with` block. An inner block cannot extend the deadline of an outer one."""
    mine = time.monotonic() + seconds
    before = _until.get()
    token = _until.set(mine if before is None else min(mine, before))
    try:
        yield
    finally:
        _until.reset(token)


def is_set() -> bool:
    return _until.get() is not None


def left(most: float) -> float:
    """Return the seconds until the deadline, 0 to `most`; `most` if no deadline is set."""
    until = _until.get()
    return most if until is None else max(0.0, min(most, until - time.monotonic()))
