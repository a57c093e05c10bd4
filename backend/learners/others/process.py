"""A hosted model's process as we see it: started, asked, killed when its time is up, started again when it has died."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.learners.others import deadline
from backend.learners.others.host import PRIVATE
from labelloop.errors import Failed, Unreachable

HOST = Path(__file__).with_name("host.py")
START_S = 120.0
"""For its imports, and to make the model."""
MAX_ANSWER = 64 << 20
KEPT_BACK = ("LABELLOOP_", "LABEL_STUDIO_", "PG", "PYTHON", "VIRTUAL_ENV")
"""How the variables begin that it is not given: our secrets, and our interpreter's."""


class ModelError(Failed):
    """The model's own code failed; the message has its words."""


class Ended(Failed):
    """The process ended without an answer, by itself or because its time was over."""


class Process:
    """One model in one state, started when it is first asked. Safe for threads: one asks, the others wait.

    `opening` fills the model's new folder and says what the process is asked first.
    """

    def __init__(self, python: str, memory: int, opening: Callable[[Path], dict[str, Any]]) -> None:
        self._command = [python, str(HOST), str(memory)]
        self._opening = opening
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._end: Callable[[], Any] = lambda: None
        self._buffer = bytearray()
        self._owed: str | None = None
        """A question whose answer has not come yet."""
        self._due = 0.0
        """When that answer must have come, however much of a hurry there was."""
        self.folder = Path()

    def ask(self, do: str, seconds: float, **what: Any) -> Any:
        """Its answer.

        Raises ModelError where the model's code fails, Failed where the model cannot be made, Ended where it dies or
        the time is over.

        In a hurry raises Unreachable when the time is over; the model goes on, and is asked again when it is done. What
        it was asked then has `seconds` all the same: after that it is ended.
        """
        time_left = deadline.left(seconds + START_S)
        if not time_left or not self._lock.acquire(timeout=time_left):
            raise Unreachable("the model is busy with others")
        try:
            if self._child is None or self._child.poll() is not None:
                self._start()
            if (owed := self._owed) is not None:
                most = START_S if owed == "open" else seconds
                error = self._receive(time.monotonic() + deadline.left(most)).get("error")
                if owed == "open" and error is not None:
                    self.close()
                    raise Failed(f"the model cannot be made: {error}")
            ends_at = time.monotonic() + deadline.left(seconds)
            self._due = time.monotonic() + seconds
            self._send({"do": do, **what}, ends_at)
            answer = self._receive(ends_at)
        except TimeoutError:
            if deadline.is_set() and self._owed is not None and time.monotonic() < self._due:
                raise Unreachable("the model is still at work") from None
            self.close()
            raise Ended(f"the model took longer than {seconds:g} s to {do} and was ended") from None
        finally:
            self._lock.release()
        if "error" in answer:
            raise ModelError(f"the model's {do} failed: {answer['error']}")
        return answer["said"]

    def close(self) -> None:
        """End it and all that it started, and remove its folder. Asked again, it starts anew."""
        self._end()
        self._child = self._owed = None

    def _start(self) -> None:
        self.close()
        self.folder = Path(tempfile.mkdtemp(prefix=PRIVATE)).resolve()
        environ = {name: value for name, value in os.environ.items() if not name.startswith(KEPT_BACK)}
        try:
            opening = self._opening(self.folder)
            child = subprocess.Popen(
                self._command,
                cwd=self.folder,
                env={
                    **environ,
                    "MODEL_DIR": str(self.folder),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    "PYTHONUNBUFFERED": "1",
                    "PYTHONHASHSEED": "0",
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                process_group=0,
            )
        except BaseException as exc:
            shutil.rmtree(self.folder, ignore_errors=True)
            if isinstance(exc, OSError):
                raise Failed(f"learner.params.python: {self._command[0]} cannot be started: {exc.strerror}") from exc
            raise
        self._end = weakref.finalize(self, _end, child, self.folder)
        self._child, self._buffer = child, bytearray()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
        self._due = time.monotonic() + START_S
        self._send({"do": "open", **opening}, self._due)

    def _send(self, question: dict[str, Any], ends_at: float) -> None:
        assert self._child is not None
        assert self._child.stdin is not None
        rest = memoryview(json.dumps(question).encode() + b"\n")
        file = self._child.stdin.fileno()
        while rest:
            _wait(file, select.POLLOUT, ends_at)
            try:
                rest = rest[os.write(file, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise self._died() from None
        self._owed = question["do"]

    def _receive(self, ends_at: float) -> dict[str, Any]:
        assert self._child is not None
        assert self._child.stdout is not None
        file = self._child.stdout.fileno()
        while b"\n" not in self._buffer[-(1 << 16) :]:
            _wait(file, select.POLLIN, ends_at)
            read = os.read(file, 1 << 16)
            if not read:
                raise self._died()
            self._buffer += read
            if len(self._buffer) > MAX_ANSWER:
                self.close()
                raise ModelError(f"the model's answer is longer than {MAX_ANSWER >> 20} MiB")
        line = bytes(self._buffer)
        self._buffer.clear()
        self._owed = None
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            self.close()
            raise ModelError(f"the model's process has said {line[:100]!r}, which is no answer") from None
        return answer

    def _died(self) -> Ended:
        assert self._child is not None
        child = self._child
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        self.close()
        code = child.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        return Ended(f"the model's process ended, {how}; its last words are in the log")


def _wait(file: int, event: int, ends_at: float) -> None:
    """Until the pipe is ready; raises TimeoutError after the ends_at."""
    poll = select.poll()
    poll.register(file, event)
    if not poll.poll(max(0.0, ends_at - time.monotonic()) * 1000):
        raise TimeoutError


def _end(child: subprocess.Popen[bytes], folder: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        assert pipe is not None
        pipe.close()
    shutil.rmtree(folder, ignore_errors=True)
