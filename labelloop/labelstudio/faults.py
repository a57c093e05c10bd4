"""Tasks at which Label Studio fails: it answers 500 to each list with one of them, so the others are read around it."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Protocol

from labelloop.errors import Unreachable
from labelloop.labelstudio.answers import FAULT
from labelloop.reading.ids import TaskId

MOST_FAULTS = 20
"""If Label Studio fails at more tasks of a page than this, the tasks are not the reason."""
SURE = 3
"""A task counts as faulty after so many failures of a request for nothing else."""
SMALLER = 4
"""A page at which Label Studio fails is read again in parts of this share."""
FAR = 2**40
"""No id is this far above the one before it."""


class Read(Protocol):
    def __call__(self, after: int, n: int, up_to: int | None = None, without: Collection[TaskId] = ()) -> list[Any]:
        """Return the first `n` tasks with an id above `after` and of at most `up_to`, lowest id first."""


def has_failed(exc: Unreachable) -> bool:
    """Whether Label Studio itself answered, with an error of its own."""
    return getattr(exc.__cause__, "status_code", None) == 500


def around_faults(read: Read, after: TaskId, size: int, known: set[TaskId]) -> list[Any]:
    """Return a page at which Label Studio fails, with the id and a FAULT of each task that it fails at.

    `known`: the caller's memory of such tasks. Only others have to be searched for, which takes many requests.
    """
    page = _without_known(read, after, size, known) if known else None
    if page is None:
        page = _in_parts(read, after, size)
        known |= {item["id"] for item in page if FAULT in item}
    return page


def _without_known(read: Read, after: TaskId, size: int, known: set[TaskId]) -> list[Any] | None:
    """Read the other tasks, then each of these by itself. None if Label Studio fails at others too."""
    try:
        page = read(after, size, without=known)
    except Unreachable as exc:
        if not has_failed(exc):
            raise
        return None
    end = page[-1]["id"] if len(page) == size else math.inf
    for id_ in [id_ for id_ in sorted(known) if after < id_ < end]:
        try:
            found = read(id_ - 1, 1, up_to=id_)
        except Unreachable as exc:
            if not has_failed(exc):
                raise
            found = [{"id": id_, FAULT: str(exc)}]
        else:
            if found:  # else it is gone, or only not among these
                known.discard(id_)
        page += found
    return sorted(page, key=lambda item: item["id"])[:size]


def _in_parts(read: Read, after: TaskId, size: int) -> list[Any]:
    """Read a page in smaller parts, down to each task that Label Studio fails at."""
    found, n, faults = list[Any](), size, 0
    while len(found) < size:
        n = min(n, size - len(found))
        try:
            part = read(after, n)
        except Unreachable as exc:
            if not has_failed(exc) or faults == MOST_FAULTS:
                raise
            if n > 1:
                n = math.ceil(n / SMALLER)
                continue
            faults += 1
            part = [{"id": _next(read, after, str(exc)), FAULT: str(exc)}]
        found += part
        if len(part) < n:
            break
        after, n = part[-1]["id"], SMALLER * n
    return found


def _next(read: Read, after: TaskId, why: str) -> TaskId:
    """Return the lowest id above `after`: that of the task at which Label Studio fails.

    Only a request that fails says that it is there, so the range that fails is halved.
    """
    if _fails(read, after, after):  # there is no such task
        raise Unreachable(
            "Label Studio answers 500 to every list of the project: its database is away, or the first task is broken "
            f"({why})"
        )
    low, step = after, 1
    while not _fails(read, low, low + step):
        low, step = TaskId(low + step), 2 * step
        if step > FAR:
            raise Unreachable(f"Label Studio fails at no task above {after} any more")
    while step > 1:
        step //= 2
        if not _fails(read, low, low + step):
            low = TaskId(low + step)
    if not all(_fails(read, low, low + 1) for _ in range(SURE)):
        raise Unreachable(f"Label Studio fails at task {low + 1} now and then")
    return TaskId(low + 1)


def _fails(read: Read, after: TaskId, up_to: int) -> bool:
    try:
        read(after, 1, up_to=up_to)
    except Unreachable as exc:
        if not has_failed(exc):
            raise
        return True
    return False
