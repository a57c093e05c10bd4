"""Encoding children, from the worker's side: processes that encode texts in time that nothing else uses.

The worker itself loads no model. A child that gets no processor time is restarted with a small share.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from backend.encode.encoder import encoder
from labelloop.errors import Failed, Retriable, SettingsError
from labelloop.process import rooms
from labelloop.process.priority import starves, yield_to_all
from labelloop.selection.vectors import Vectors

PART = 64
"""Texts that a child gets at a time."""
MOST = 8
"""Most children; fewer on a machine with fewer cores. One core stays free: idle priority does not keep two busy cores
from slowing each other down, and people at work would feel it.
"""
KEEP_S = 60.0
"""Seconds after its last text at which a child ends, and gives its memory back."""
LOOK_EVERY_S = 0.5
"""Seconds between two looks whether a busy child starves, and whether the worker ends."""
REST, REST_AT_MOST_S = 4.0, 2.0
"""While people work, an idle child rests this many times as long as it worked, and at most so many seconds: four of
five clicks then meet no encoding. The processors of a machine slow each other down, whatever their priorities.
"""


_STOPPED = "encoding was stopped with the worker"


class Stopped(Retriable):
    """The worker ends: the texts are encoded after its restart."""


class _Child:
    """A process that encodes texts with one encoder."""

    def __init__(self, name: str, *, idle: bool) -> None:
        self.name = name
        self.idle = idle
        self.used_at = time.monotonic()
        self._process = subprocess.Popen(
            rooms.python("backend.encode.child", name, encoder(name).id),
            env={**rooms.environment(os.environ), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        # Texts may be larger than what a pipe holds: a child that gets no processor time would block the worker.
        os.set_blocking(self._process.stdin.fileno(), False)
        yield_to_all(self._process.pid, idle=idle)

    def encode(self, texts: Sequence[str], stop: threading.Event) -> Vectors | None:
        """Return the vectors; None if the child starves. Raises SettingsError, Failed if it ended, or Stopped."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        request = json.dumps(list(texts)).encode() + b"\n"
        try:
            while True:
                unsent = [process.stdin] if request else []
                if not any(ready := select.select([process.stdout], unsent, [], LOOK_EVERY_S)):
                    if stop.is_set():
                        raise Stopped(_STOPPED)
                    if self.idle and starves(process.pid):
                        return None
                elif ready[0]:
                    break
                else:
                    request = request[os.write(process.stdin.fileno(), request) :]
            head = json.loads(process.stdout.readline() or b"null")
            size = 0 if head is None or "error" in head else 2 * head["n"] * head["width"]
            body = process.stdout.read(size)
            if len(body) < size:
                head = None
        except (OSError, ValueError):  # it may end within a line too
            head = None
        if head is None:
            raise Failed(f"the encoding process ended with status {process.wait()}, perhaps for lack of memory")
        if "error" in head:
            raise SettingsError(head["error"])
        self.used_at = time.monotonic()
        return np.frombuffer(body, dtype="<f2").reshape(head["n"], head["width"]).astype(np.float32)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Children:
    """Encodes texts in children, which start when they are needed. Safe for threads."""

    def __init__(
        self, stop: threading.Event, most: int | None = None, *, at_work: Callable[[], bool] = lambda: False
    ) -> None:
        """`most`: most children at work at a time; None for all cores but one, at most MOST.

        `at_work`: whether people work now. It is asked after each part, by any thread.
        """
        self._stop = stop
        self._at_work = at_work
        self._most = most or min(max(1, len(os.sched_getaffinity(0)) - 1), MOST)
        self._places = threading.Semaphore(self._most)
        self._lock = threading.Lock()
        self._resting: list[_Child] = []
        self._ended = False

    def of(self, name: str, *, idle: bool = True) -> Callable[[Sequence[str]], Vectors]:
        """Return the function that encodes texts with the encoder of this name.

        `idle`: in time that nothing else uses; otherwise always with a small share, for texts that somebody waits for.
        """
        return partial(self._encode, name, idle)

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End the children that rest. One that still encodes is ended after its text."""
        with self._lock:
            self._ended = True
        self.end_unused(0)

    def end_unused(self, after_s: float = KEEP_S) -> None:
        """End the children that have encoded nothing for `after_s` seconds."""
        with self._lock:
            unused = [child for child in self._resting if time.monotonic() - child.used_at >= after_s]
            self._resting = [child for child in self._resting if child not in unused]
        for child in unused:
            child.kill()

    def _encode(self, name: str, idle: bool, texts: Sequence[str]) -> Vectors:
        parts = [texts[start : start + PART] for start in range(0, len(texts), PART)]
        with ThreadPoolExecutor(self._most) as threads:
            try:
                return np.concatenate(list(threads.map(partial(self._part, name, idle), parts)))
            finally:
                threads.shutdown(cancel_futures=True)  # after an error the other parts are not begun

    def _part(self, name: str, idle: bool, texts: Sequence[str]) -> Vectors:
        with self._places:  # a resting thread leaves its place to texts that somebody waits for
            began = time.monotonic()
            found = self._encoded(name, idle, texts)
            worked_s = time.monotonic() - began
        if idle and self._at_work():
            self._stop.wait(min(REST * worked_s, REST_AT_MOST_S))
        return found

    def _encoded(self, name: str, idle: bool, texts: Sequence[str]) -> Vectors:
        if self._stop.is_set():
            raise Stopped(_STOPPED)
        child = self._take(name, idle)
        try:
            found = child.encode(texts, self._stop)
            if found is None:
                child.kill()
                child = _Child(name, idle=False)
                found = child.encode(texts, self._stop)
                assert found is not None
        except BaseException:
            child.kill()
            raise
        with self._lock:
            rests = not self._ended
            if rests:
                self._resting.append(child)
        if not rests:
            child.kill()
        return found

    def _take(self, name: str, idle: bool) -> _Child:
        """Return a resting child with this encoder and priority, or a new one in place of another that rests."""
        with self._lock:
            same = next((child for child in self._resting if child.name == name and child.idle <= idle), None)
            other = self._resting[0] if same is None and len(self._resting) >= self._most else None
            for child in (same, other):
                if child is not None:
                    self._resting.remove(child)
        if other is not None:
            other.kill()
        return same or _Child(name, idle=idle)
