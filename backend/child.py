"""The training child as the worker sees it: started, given its run, watched, killed when its time is up.

A child spends seconds on its imports. The worker therefore keeps one that has done them and waits for its run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from labelloop.settings import Settings

Child = subprocess.Popen[bytes]
TIME_LIMIT_S = 600.0
BEAT_EVERY_S = 2.0
NICE = 10
"""Of 19: annotators and predictions come first."""


class Stopped(Exception):
    """The worker is to end, or the run is no longer ours: the child was killed."""


class Children:
    """Gives out children, each for one run. Safe for threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._waiting: Child | None = None
        self._closed = False

    def take(self) -> Child:
        """A child without a run: the one that waits, or a new one."""
        with self._lock:
            child, self._waiting = self._waiting, None
        if child is not None and child.poll() is None:
            return child
        if child is not None:
            kill(child)
        return self._start()

    def prepare(self) -> None:
        """See that one waits."""
        with self._lock:
            if self._waiting is None and not self._closed:
                self._waiting = self._start()

    def close(self) -> None:
        with self._lock:
            child, self._waiting, self._closed = self._waiting, None, True
        if child is not None:
            kill(child)

    def _start(self) -> Child:
        """In a process group of its own; it ends by itself when its standard input does: with us."""
        child = subprocess.Popen(
            [sys.executable, "-m", "backend.train"],
            # One thread: the same sums in the same order, and the other core is for those who serve.
            env={**os.environ, **self._settings.to_env(), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        # Linux divides the processor among sessions first: niceness alone counts only inside the child's own. From the
        # start, since its imports take seconds.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, child.pid, NICE)
            Path(f"/proc/{child.pid}/autogroup").write_text(str(NICE))
        return child


def train_in(child: Child, run_id: UUID, beat: Callable[[], bool], stop: threading.Event) -> dict[str, Any]:
    """What backend.train says: {"version", "trained_on", "notes"}, {"refused": why} or {"error": why}.

    `beat` is called every few seconds; False from it, or `stop`, and Stopped is raised. The child is gone in any case.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # it has died already: the status says of what
            child.stdin.write(f"{run_id}\n".encode())
            child.stdin.flush()
        if not _watch(child, beat, stop):
            return {"error": f"training took longer than {TIME_LIMIT_S:g} s and was ended"}
        said = child.stdout.read()
    finally:
        kill(child)
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        return {
            "error": f"the training process was killed by {name}" + (", out of memory?" if name == "SIGKILL" else "")
        }
    try:
        outcome: dict[str, Any] = json.loads(said)
    except ValueError:
        return {"error": f"the training process ended with status {child.returncode} and said nothing"}
    return outcome


def kill(child: Child) -> None:
    """The child and all that it started, if they are still there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _watch(child: Child, beat: Callable[[], bool], stop: threading.Event) -> bool:
    """Wait for the child's end; False: its time is up."""
    began = beaten = time.monotonic()
    while child.poll() is None:
        now = time.monotonic()
        if now - began > TIME_LIMIT_S:
            return False
        if now - beaten > BEAT_EVERY_S:
            beaten = now
            if not beat():
                raise Stopped
        if stop.wait(0.05):
            raise Stopped
    return True
