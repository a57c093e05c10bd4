"""Background: submit from code that must never wait for the service, such as a web request."""

from __future__ import annotations

import atexit
import codecs
import logging
import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from labelloop.client import wire
from labelloop.errors import Busy, LabelloopError, Skippable, UsageError
from labelloop.outputs.output import Output

if TYPE_CHECKING:
    from labelloop.client.blocking import Client

logger = logging.getLogger("labelloop.client")

MAX_BYTES = 64 << 20
"""Bytes of pending outputs."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, LAST_PAUSE_S = 0.25, 20.0, 0.2
"""Pauses between two attempts while the service is away: the first, the longest, and the one during a flush."""
_live: weakref.WeakSet[Background] = weakref.WeakSet()
_making = threading.Lock()
"""Held while a client is made and while the process forks: a fork in the middle of an import leaves the child a module
that is never whole.
"""


class Background:
    """A queue of outputs and one daemon thread that sends them. Make it with Client.background().

    An output that was accepted is sent as long as the process lives, whatever the service does meanwhile. At the exit
    of the process at most `flush_s` seconds are spent on those that are left; the log then counts the lost ones. A
    process that is forked begins with an empty queue: the parent sends what it accepted.
    """

    def __init__(self, make: Callable[[], Client], *, max_pending: int, raise_when_full: bool, flush_s: float) -> None:
        if max_pending < 1:
            raise UsageError(f"max_pending must be at least 1; it is {max_pending}")
        self._make = make
        self._max_pending = max_pending
        self._raise_when_full = raise_when_full
        self._flush_s = flush_s
        self._begin()
        _live.add(self)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self._flushing = 0
        self._closed = False
        self.sent = 0
        """Number of outputs that the service has stored."""
        self.dropped = 0
        """Number of outputs that were not accepted, because the queue was full."""
        self.refused = 0
        """Number of accepted outputs that the service refused for good; the log names each."""
        self.problem: str | None = None
        """The reason for which the last attempt failed; None if it succeeded."""

    @property
    def pending(self) -> int:
        """Return the number of outputs that are accepted and not sent yet."""
        return len(self._queue)

    def submit(self, output: Output | Mapping[str, Any]) -> bool:
        """Accept an output, without any wait. False if the queue is full; with `raise_when_full` it raises Busy.

        Raises InvalidOutput for an output that breaks the rules, and UsageError after close().
        """
        line = wire.line(output)
        with self._changed:
            if self._closed:
                raise UsageError("this background client is closed")
            if len(self._queue) >= self._max_pending or self._bytes + len(line) > MAX_BYTES:
                self.dropped += 1
                if self._raise_when_full:
                    raise Busy(f"{len(self._queue)} outputs are pending; the queue of this background client is full")
                return False
            self._queue.append(line)
            self._bytes += len(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="labelloop-background", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return True

    def flush(self, timeout: float) -> bool:
        """Wait until nothing is pending, but at most `timeout` seconds; whether nothing is."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: not self._queue, timeout)
            finally:
                self._flushing -= 1

    def close(self, timeout: float | None = None) -> bool:
        """Accept no more outputs, and send those that are left within `timeout` seconds; whether all are sent.

        None means `flush_s`. A second call returns the same at once.
        """
        with self._changed:
            was_closed, self._closed = self._closed, True
        done = self.flush(0 if was_closed else self._flush_s if timeout is None else timeout)
        if not done and not was_closed:
            logger.warning("%d outputs were not sent: %s", self.pending, self.problem or "the time was over")
        return done

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self) -> None:
        """Send what is pending, in chunks. A chunk that is refused is halved until the refused output is alone."""
        client: Client | None = None
        size, failures = wire.CHUNK_LINES, 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or (self._closed and not self._flushing))
                if not self._queue:
                    break
                lines = self._first(size)
            try:
                if client is None:  # it cannot be made with a file of certificates that is missing, for example
                    with _making:
                        codecs.lookup("idna")  # the first connection would import it, outside of the lock
                        client = self._make()
                client._run(client._calls.submit(lines, None))
            except Skippable as exc:
                self.problem = str(exc)
                if len(lines) == 1:
                    logger.warning("an output is refused and dropped: %s", exc)
                    self._remove(1, refused=True)
                size = max(1, len(lines) // 2)
            except Exception as exc:  # the thread must not end while outputs are pending
                before, self.problem = self.problem, str(exc) or type(exc).__name__
                if before != self.problem and not isinstance(exc, LabelloopError):
                    logger.exception("outputs cannot be sent")
                elif before != self.problem and isinstance(exc, UsageError):
                    logger.error("outputs cannot be sent: %s", exc)
                self._rest(failures)
                failures += 1
            else:
                self.problem, failures = None, 0
                self._remove(len(lines), refused=False)
                size = min(wire.CHUNK_LINES, 2 * size)
        if client is not None:
            client.close()

    def _first(self, most: int) -> list[bytes]:
        """Return the first lines, as many as one request takes."""
        lines: list[bytes] = []
        size = 0
        for line in islice(self._queue, most):
            if lines and size + len(line) >= wire.CHUNK_BYTES:
                break
            lines.append(line)
            size += len(line) + 1
        return lines

    def _remove(self, n: int, *, refused: bool) -> None:
        with self._changed:
            for _ in range(n):
                self._bytes -= len(self._queue.popleft())
            if refused:
                self.refused += n
            else:
                self.sent += n
            self._changed.notify_all()

    def _rest(self, failures: int) -> None:
        """Pause after a failed attempt, for a shorter time while somebody waits in flush()."""
        pause_s = random.uniform(0.5, 1) * min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(failures, 10))
        began = time.monotonic()
        with self._changed:
            while (left := (LAST_PAUSE_S if self._flushing else pause_s) - (time.monotonic() - began)) > 0:
                self._changed.wait(left)


def _close_all() -> None:
    """Send what is left in all queues of this process, for the longest of their times together."""
    began = time.monotonic()
    for background in list(_live):
        background.close(max(0.0, background._flush_s - (time.monotonic() - began)))


def _forget_parents() -> None:
    """Begin anew in a forked process: its parent has the threads, and sends what it accepted."""
    for background in list(_live):
        background._begin()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents)
    os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)
