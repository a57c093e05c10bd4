"""The training child process, from the worker's side: start it, send its order, watch it, kill it at its time limit."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from labelloop.process import rooms
from labelloop.process.priority import starves, yield_to_all
from labelloop.process.settings import Settings
from labelloop.spec.sections import Retrain

logger = logging.getLogger(__name__)
Child = subprocess.Popen[bytes]
BEAT_EVERY_S = 2.0
LOG_CHARACTERS = 16_000
"""Characters kept from the end of the child's output."""
ERROR_CHARACTERS = 1_000


class Stopped(Exception):
    """The child was killed because the worker ends, the run is stopped, or another worker has the run."""


class Starved(Exception):
    """The child gets hardly any processor time because of other work on the machine."""


@dataclass(frozen=True, slots=True)
class Order:
    """A child's run and its resource limits; the child reads it as a line of JSON from standard input."""

    run: UUID
    limits: Retrain
    replay: bool = False
    """Whether to repeat the training of a finished run and report the result; nothing is written."""

    def line(self) -> bytes:
        what = {"run": str(self.run), "limits": self.limits.model_dump(mode="json"), "replay": self.replay}
        return json.dumps(what).encode() + b"\n"


class Heard:
    """The output of a child so far: progress, outcome and log."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        self._hide = hide
        self._line, self._printed = b"", b""
        self.progress: dict[str, Any] | None = None
        """{"step", "done", "of", "at"}"""
        self.outcome: dict[str, Any] | None = None
        """Result of backend.train.train: {"version", "trained_on", ..}, {"refused": reason} or {"error": reason}."""

    @property
    def log(self) -> str:
        """Return the last LOG_CHARACTERS that the child printed, without labelloop's secrets."""
        return str(self._clean(self._printed.decode(errors="replace")))[-LOG_CHARACTERS:]

    def begin_anew(self) -> None:
        """Drop a line that the previous child left unfinished, since another child now does the run."""
        self._line, self.progress = b"", None

    def listen(self, child: Child) -> None:
        """Read the output that is ready, without blocking."""
        assert child.stdout is not None
        assert child.stderr is not None
        printed = _read(child.stderr.fileno())
        if printed:
            with contextlib.suppress(OSError):
                os.write(2, printed)
            # Longer than the log that is shown, so that a secret cut in two at the beginning stays outside the log.
            self._printed = (self._printed + printed)[-8 * LOG_CHARACTERS :]
        *lines, self._line = (self._line + _read(child.stdout.fileno())).split(b"\n")
        for line in lines:
            message = self._clean(json.loads(line))
            if "step" in message:
                self.progress = {**message, "at": datetime.now(UTC).isoformat()}
            else:
                self.outcome = message

    def _clean(self, value: Any) -> Any:
        """Return the JSON value without labelloop's secrets and without NUL, which Postgres rejects."""
        if isinstance(value, str):
            return self._hide(value.replace("\0", ""))
        if isinstance(value, list):
            return [self._clean(one) for one in value]
        return {name: self._clean(one) for name, one in value.items()} if isinstance(value, dict) else value


class Children:
    """Starts children, each for one run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def take(self, *, idle: bool = True) -> Child:
        """Start a child in its own process group. It exits when its standard input ends, and so with the worker.

        `idle`: it gets only processor time that nothing else uses; otherwise it always gets a small share.
        """
        child = subprocess.Popen(
            rooms.python("backend.train.train"),
            # One thread adds numbers in a fixed order, and leaves the other cores to serving.
            env={
                **rooms.environment(os.environ),
                **self._settings.to_env(),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        # Done at the start, since the imports take seconds. Linux divides the processor among sessions first, so the
        # session gets the niceness too; the child's own would count only within its session.
        yield_to_all(child.pid, idle=idle)
        return child


def train_in(
    children: Children, order: Order, heard: Heard, beat: Callable[[], bool], stop: threading.Event
) -> dict[str, Any]:
    """Train in a child and return its outcome, or {"error": reason of at most ERROR_CHARACTERS}.

    `beat` is called every few seconds. Raises Stopped if it returns False or `stop` is set. The child has exited in
    every case. A child that gets no processor time is restarted with a small share, so that a run also ends on a busy
    machine.
    """
    child = children.take()

    def beat_unless_starved() -> bool:
        goes_on = beat()
        if goes_on and heard.outcome is None and starves(child.pid):
            raise Starved
        return goes_on

    try:
        return _train(child, order, heard, beat_unless_starved, stop)
    except Starved:
        logger.info("run %s gets no processor time: restarting it with a small share", order.run)
        heard.begin_anew()
        return _train(children.take(idle=False), order, heard, beat, stop)


def _train(child: Child, order: Order, heard: Heard, beat: Callable[[], bool], stop: threading.Event) -> dict[str, Any]:
    assert child.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # it has exited already; its status gives the reason
            child.stdin.write(order.line())
            child.stdin.flush()
        in_time = _watch(child, order.limits.minutes * 60, heard, beat, stop)
        if not in_time:
            return {"error": f"training took longer than {order.limits.minutes:g} minutes and was stopped"}
    finally:
        kill(child)
    if heard.outcome is None:
        return {"error": _exit_reason(child.returncode, order.limits)}
    if "error" in heard.outcome:
        return {"error": heard.outcome["error"][:ERROR_CHARACTERS]}
    return heard.outcome


def kill(child: Child) -> None:
    """Kill the child and all processes that it started, if they still run."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _watch(child: Child, limit_s: float, heard: Heard, beat: Callable[[], bool], stop: threading.Event) -> bool:
    """Wait until the child exits; return False if it reached its time limit."""
    for pipe in (child.stdout, child.stderr):
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
    began = beaten = time.monotonic()
    while child.poll() is None:
        heard.listen(child)
        now = time.monotonic()
        if now - began > limit_s:
            return False
        if now - beaten > BEAT_EVERY_S:
            beaten = now
            if not beat():
                raise Stopped
        if stop.wait(0.05):
            raise Stopped
    heard.listen(child)
    return True


def _read(pipe: int) -> bytes:
    """Read at most 1 MiB from a non-blocking pipe, so that a child that never stops printing cannot hold the worker."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while len(found) < 1 << 20 and (some := os.read(pipe, 1 << 16)):
            found += some
    return found


def _exit_reason(status: int, limits: Retrain) -> str:
    if status >= 0:
        return f"the training process exited with status {status} without a result"
    name = signal.Signals(-status).name
    why = ""
    if name == "SIGKILL":
        why = ", perhaps because it ran out of memory"
    elif name == "SIGXCPU":
        why = f": it used more than {limits.minutes:g} minutes of {limits.threads} processors"
    return f"the training process was terminated by {name}{why}"
