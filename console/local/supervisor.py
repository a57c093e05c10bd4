"""A group of processes under circus: one that exits is restarted, and at the end none is left.

circus is a separate process, not reached by the terminal's Ctrl-C. Every process carries the data folder's name in its
environment. By that, a later start finds processes that a killed one left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import zmq
from circus.client import CircusClient
from circus.exc import CallError

from console.local.leftovers import GRACE_S, SOCKETS, mark, sweep
from console.local.logs import Logs, tail
from console.local.postgres import Command
from labelloop.errors import Failed
from labelloop.process import rooms

ROOT = rooms.ROOMS
"""Working directory of our processes; they look for modules there first."""
MOST_ENDS = 3
"""Exits of a command after which a start gives up; circus restarts a command about once a second."""


def python_env() -> dict[str, str]:
    """Return the environment of our Python processes: without our settings and without PYTHONDONTWRITEBYTECODE.

    With PYTHONDONTWRITEBYTECODE each start would compile scikit-learn again, which takes seconds.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith("LABELLOOP_") and k != "PYTHONDONTWRITEBYTECODE"}
    return rooms.environment(env) | {"PYTHONUNBUFFERED": "1"}


class Supervisor:
    """Runs commands in `data_dir`; the logs are in its folder `logs`."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._logs = Logs(self._data_dir / "logs")
        self._sockets = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._events: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._counted: Counter[str] = Counter()
        self._running: set[str] = set()

    def start(self) -> None:
        """Start circus, without any command yet."""
        logs = self._data_dir / "logs"
        logs.mkdir(exist_ok=True)
        logs.chmod(0o700)
        self._logs.start()
        # The path of a socket has about 100 characters at most, too few for a data folder. Only our user may enter.
        self._sockets = Path(tempfile.mkdtemp(prefix="labelloop-"))
        (self._data_dir / SOCKETS).symlink_to(self._sockets)
        config = self._sockets / "circus.ini"
        config.write_text(
            f"[circus]\nendpoint = ipc://{self._sockets}/control\npubsub_endpoint = ipc://{self._sockets}/events\n"
            "check_delay = 1\n"
        )
        self._events.connect(f"ipc://{self._sockets}/events")
        self._events.subscribe(b"watcher.")
        logging_config = self._sockets / "logging.json"
        logging_config.write_text(json.dumps(_logging(self.log("supervisor"))))
        self._process = subprocess.Popen(
            rooms.python("circus.circusd", "--logger-config", str(logging_config), str(config)),
            cwd=ROOT,
            env=python_env() | mark(self._data_dir),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.until(lambda: self._asked("list", wait_s=1.0) is not None, 30, "supervisor")

    def add(self, name: str, command: Command, *, stop_signal: int = signal.SIGTERM) -> None:
        """Run the command from now on, again and again."""
        log = self.log(name)
        if command.log is not None:
            # Its user may not come to our folder: it writes where it may, and we look there.
            log.unlink(missing_ok=True)
            log.symlink_to(command.log)
            log = command.log
        argv = ["/bin/sh", "-c", 'exec "$@" >>"$0" 2>&1', str(log), *command.argv]
        user = {} if command.uid is None else {"uid": command.uid, "gid": command.gid}
        self._ask(
            "add",
            name=name,
            cmd=argv[0],
            args=argv[1:],
            start=True,
            options={
                "env": {**command.env, **mark(self._data_dir)},
                "working_dir": command.cwd,
                "stop_signal": int(stop_signal),
                "graceful_timeout": GRACE_S,
                "max_retry": -1,
                **user,
            },
        )

    def until(self, ready: Callable[[], bool], seconds: float, *names: str) -> None:
        """Wait for `ready`. Raises Failed, with the end of a log, when it takes too long or a command keeps ending."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.is_alive():
                raise Failed(f"the supervisor has exited. {self._last_words('supervisor')}")
            ends = self.ends()
            for name in names:
                if ends[name] > MOST_ENDS:
                    raise Failed(f"{name} exits right after its start. {self._last_words(name)}")
            if time.monotonic() > deadline:
                raise Failed(f"{' and '.join(names)} not ready after {seconds:g} s. {self._last_words(names[0])}")
            time.sleep(0.2)

    def _last_words(self, name: str) -> str:
        return f"Its log, {self.log(name)}:\n{tail(self.log(name))}"

    def log(self, name: str) -> Path:
        return self._data_dir / "logs" / f"{name}.log"

    def pids(self, name: str) -> list[int]:
        """Return the processes of one command, without their children; empty between an exit and the restart."""
        reply = self._asked("list", name=name)
        return [int(pid) for pid in reply.get("pids", [])] if reply else []

    def listens(self, name: str, port: int) -> bool:
        """Return whether this command or its child listens on the port; an answer alone may come from elsewhere."""
        for pid in self.pids(name):
            with contextlib.suppress(psutil.Error):
                head = psutil.Process(pid)
                for process in (head, *head.children(recursive=True)):
                    if any(
                        c.status == psutil.CONN_LISTEN and c.laddr[1] == port for c in process.net_connections("tcp")
                    ):
                        return True
        return False

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, last: str = "") -> None:
        """Stop all commands, `last` after the others, then circus; SIGKILL ends the rest. Calling it twice is safe."""
        if self.is_alive():
            others = f"^(?!{last}$)" if last else "^"
            for pattern in (others, "^"):
                with contextlib.suppress(Failed, CallError):
                    self._ask("stop", wait_s=GRACE_S + 5, name=pattern, match="regex", waiting=True)
        self._events.close(linger=0)
        sweep(self._data_dir)
        if self._process is not None:
            self._process.wait()
            self._process = None
        self._logs.stop()

    def ends(self) -> Counter[str]:
        """Return the number of exits of each command so far, from events: many live too short for a periodic check.

        Under load circus sometimes reports no exit, but only the next start: that start counts as the exit.
        """
        while self._events.poll(0):
            topic, *_ = self._events.recv_multipart()
            _, name, event = topic.decode().split(".")
            if event == "reap":
                self._counted[name] += 1
                self._running.discard(name)
            elif event == "spawn":
                self._counted[name] += name in self._running
                self._running.add(name)
        return self._counted

    def _asked(self, command: str, wait_s: float = 5.0, **properties: Any) -> dict[str, Any] | None:
        try:
            return self._ask(command, wait_s=wait_s, **properties)
        except (Failed, CallError):
            return None

    def _ask(self, command: str, wait_s: float = 5.0, **properties: Any) -> dict[str, Any]:
        client = CircusClient(endpoint=f"ipc://{self._sockets}/control", timeout=wait_s)
        try:
            for _ in range(50):
                reply: dict[str, Any] = client.call({"command": command, "properties": properties})
                if reply.get("status") == "ok":
                    return reply
                if "already running" not in str(reply.get("reason")):  # circus runs one request at a time
                    break
                time.sleep(0.1)
            raise Failed(f"the supervisor refuses {command!r}: {reply.get('reason')}")
        finally:
            client.stop()


def _logging(file: Path) -> dict[str, Any]:
    """Return the logging of circus: warnings, without conflicts between its own requests."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "filters": {"waits": {"()": "console.local.logs.WithoutWaits"}},
        "handlers": {
            "file": {"class": "logging.FileHandler", "filename": str(file), "formatter": "line", "filters": ["waits"]}
        },
        "root": {"level": "WARNING", "handlers": ["file"]},
    }
