"""Hurry: who answers an annotator has a little time for a model of others, who trains or prelabels has more.

The budget belongs to the context, so that a learner needs no further argument: `with within(2.0): ...`.
A learner that is not done by then says nothing of the rest, and raises nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ANNOTATOR_S = 2.0
"""How long an annotator waits for a model of others; then the form is empty."""
_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """For the length of a `with` there is a hurry; of two, the inner one cannot be longer."""
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
    """Seconds that there are, `most` at most, 0 at least."""
    until = _until.get()
    return most if until is None else max(0.0, min(most, until - time.monotonic()))
