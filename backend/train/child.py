"""The training child as the worker sees it: started, given its run, watched, killed when its time is up.

A child spends seconds on its imports. The worker therefore keeps one that has done them and waits for its run.
"""

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
from pathlib import Path
from typing import Any
from uuid import UUID

from labelloop.process import rooms
from labelloop.process.settings import Settings
from labelloop.spec.sections import Retrain

logger = logging.getLogger(__name__)
Child = subprocess.Popen[bytes]
BEAT_EVERY_S = 2.0
NICE = 19
"""The lowest: annotators and predictions come first. With 0 the child is a process like all others."""
STARVED_NICE = 10
"""About a tenth of a core that one other process keeps busy; without it, under the idle policy, a three-hundredth."""
STARVES_AFTER_S = 30.0
"""A child that waited for a processor so long, and got less than a fifth of it, is begun anew with STARVED_NICE."""

LOG_CHARACTERS = 16_000
"""Of what a child prints, the end is kept."""
ERROR_CHARACTERS = 1_000


class Stopped(Exception):
    """The worker is to end, the run is to be stopped, or it is no longer ours: the child was killed."""


class Starved(Exception):
    """Other work leaves the child hardly any time of the processor."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a child is to do, and what it may use: one line of JSON on its standard input."""

    run: UUID
    limits: Retrain
    replay: bool = False
    """Teach once more what the run taught, and say what comes of it; nothing is written."""

    def line(self) -> bytes:
        what = {"run": str(self.run), "limits": self.limits.model_dump(mode="json"), "replay": self.replay}
        return json.dumps(what).encode() + b"\n"


class Heard:
    """What a child has said so far."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        self._hide = hide
        self._said, self._printed = b"", b""
        self.progress: dict[str, Any] | None = None
        """{"step", "done", "of", "at"}"""
        self.outcome: dict[str, Any] | None = None
        """What backend.train.train says: {"version", "trained_on", "notes", ..}, {"refused": why} or {"error": why}."""

    @property
    def log(self) -> str:
        """The end of what it printed, without our secrets."""
        return str(self._clean(self._printed.decode(errors="replace")))[-LOG_CHARACTERS:]

    def begin_anew(self) -> None:
        """Another child does the run: half a line of the one before is not the beginning of its first."""
        self._said, self.progress = b"", None

    def listen(self, child: Child) -> None:
        """Take what is there; never wait."""
        assert child.stdout is not None
        assert child.stderr is not None
        printed = _read(child.stderr.fileno())
        if printed:
            with contextlib.suppress(OSError):
                os.write(2, printed)
            # Longer than what is shown: a secret that is cut in two at its beginning is not in that.
            self._printed = (self._printed + printed)[-8 * LOG_CHARACTERS :]
        *lines, self._said = (self._said + _read(child.stdout.fileno())).split(b"\n")
        for line in lines:
            said = self._clean(json.loads(line))
            if "step" in said:
                self.progress = {**said, "at": datetime.now(UTC).isoformat()}
            else:
                self.outcome = said

    def _clean(self, said: Any) -> Any:
        """Any JSON without our secrets and without NUL, which Postgres does not keep."""
        if isinstance(said, str):
            return self._hide(said.replace("\0", ""))
        if isinstance(said, list):
            return [self._clean(one) for one in said]
        return {name: self._clean(one) for name, one in said.items()} if isinstance(said, dict) else said


class Children:
    """Starts children, each for one run."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def take(self, *, idle: bool = True) -> Child:
        """In a process group of its own; it ends by itself when its standard input does: with us.

        `idle`: it has only the time that nothing else wants; else a small share in any case.
        """
        child = subprocess.Popen(
            rooms.python("backend.train.train"),
            # One thread: the same sums in the same order, and the other core is for those who serve.
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
        # From the start, since its imports take seconds. Linux divides the processor among sessions first: without that
        # of its session its niceness would count only inside it.
        yield_to_all(child.pid, idle=idle)
        return child


def yield_to_all(pid: int, *, idle: bool = True) -> None:
    """Only time that nothing else wants, of the processor and, which follows from it, of the disk; Linux alone can.

    Without `idle` a small share of it in any case. There is no way back: only root may raise a priority again.
    """
    nice = NICE if idle else min(NICE, STARVED_NICE)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
    # Niceness alone leaves it its slice of time when Label Studio wakes up; an idle process is pushed aside at once.
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(pid, os.SCHED_IDLE if idle and NICE else os.SCHED_OTHER, os.sched_param(0))


def starves(pid: int) -> bool:
    """Whether it waited for a processor for STARVES_AFTER_S, and four times as long as it ran. Linux alone can tell."""
    try:
        ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return False
    return int(waited) > max(STARVES_AFTER_S * 1e9, 4 * int(ran))


def train_in(
    children: Children, order: Order, heard: Heard, beat: Callable[[], bool], stop: threading.Event
) -> dict[str, Any]:
    """What backend.train.train says, or {"error": why it could not; at most ERROR_CHARACTERS}.

    `beat` is called every few seconds; False from it, or `stop`, and Stopped is raised. The child is gone in any case.
    A child that gets no time of the processor is begun anew with a share of it, so that the run ends on a busy machine.
    """
    child = children.take()

    def fed() -> bool:
        goes_on = beat()
        if goes_on and heard.outcome is None and starves(child.pid):
            raise Starved
        return goes_on

    try:
        return _train(child, order, heard, fed, stop)
    except Starved:
        logger.info("run %s gets no time of the processor; it begins anew with a small share", order.run)
        heard.begin_anew()
        return _train(children.take(idle=False), order, heard, beat, stop)


def _train(child: Child, order: Order, heard: Heard, beat: Callable[[], bool], stop: threading.Event) -> dict[str, Any]:
    assert child.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # it has died already: the status says of what
            child.stdin.write(order.line())
            child.stdin.flush()
        in_time = _watch(child, order.limits.minutes * 60, heard, beat, stop)
        if not in_time:
            return {"error": f"training took longer than {order.limits.minutes:g} minutes and was ended"}
    finally:
        kill(child)
    if heard.outcome is None:
        return {"error": _died_of(child.returncode, order.limits)}
    if "error" in heard.outcome:
        return {"error": heard.outcome["error"][:ERROR_CHARACTERS]}
    return heard.outcome


def kill(child: Child) -> None:
    """The child and all that it started, if they are still there."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _watch(child: Child, limit_s: float, heard: Heard, beat: Callable[[], bool], stop: threading.Event) -> bool:
    """Wait for the child's end; False: its time is up."""
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
    """What is in a pipe that does not block; a MiB of it at most, since who prints without end must not hold us."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while len(found) < 1 << 20 and (some := os.read(pipe, 1 << 16)):
            found += some
    return found


def _died_of(status: int, limits: Retrain) -> str:
    if status >= 0:
        return f"the training process ended with status {status} and said nothing"
    name = signal.Signals(-status).name
    why = ""
    if name == "SIGKILL":
        why = ", out of memory?"
    elif name == "SIGXCPU":
        why = f": it used more than {limits.minutes:g} minutes of {limits.threads} processors"
    return f"the training process was killed by {name}{why}"
