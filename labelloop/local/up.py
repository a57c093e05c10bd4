"""`labelloop up`: everything on one machine, for as long as somebody wants it, and nothing of it afterwards."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labelloop.errors import Failed
from labelloop.local import folder
from labelloop.local.leftovers import sweep
from labelloop.local.options import UpOptions
from labelloop.local.postgres import Postgres
from labelloop.local.start import Start
from labelloop.local.supervisor import Supervisor
from labelloop.settings import FILE, Settings

__all__ = ["Running", "UpOptions", "down", "up"]

Announce = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Running:
    """What is up."""

    settings: Settings
    loops: list[str]
    supervisor: Supervisor

    @property
    def addresses(self) -> dict[str, str]:
        """Where each part is, without passwords."""
        at = urlsplit(self.settings.database_url)
        return {
            "label_studio": self.settings.label_studio_url,
            "sync": self.settings.sync_url,
            "backend": self.settings.backend_url,
            "review": f"{self.settings.backend_url}/review/",
            "postgres": f"{at.hostname}:{at.port or 5432}{at.path}",
        }

    @property
    def login(self) -> str:
        """The administrator's e-mail, empty with a Label Studio of the user's own; the password is in the settings."""
        return self.settings.label_studio_user

    def wait(self) -> None:
        """Until Ctrl-C or SIGTERM; raises Failed if the supervisor itself ends."""
        try:
            while self.supervisor.is_alive():
                time.sleep(0.5)
        except KeyboardInterrupt:
            return
        raise Failed(f"the supervisor has ended; its log is {self.supervisor.log('supervisor')}")


@contextmanager
def up(options: UpOptions, announce: Announce = print) -> Iterator[Running]:
    """Start what is asked for, and end all of it with the `with`. On a folder that was used before it goes on there."""
    began = time.monotonic()
    data_dir = options.data_dir.absolute()
    with folder.held(data_dir), _interruptible():
        if sweep(data_dir):
            announce("ended what an earlier start had left behind")
        supervisor = Supervisor(data_dir, echo=options.logs_to_terminal)
        try:
            settings, names = Start(options, data_dir, supervisor, announce).everything()
            running = Running(settings, names, supervisor)
            announce(_summary(running, time.monotonic() - began))
            yield running
        finally:
            with _uninterruptible():
                if supervisor.is_alive():
                    announce("stopping")
                supervisor.stop(last="postgres")


def down(data_dir: Path, purge: bool = False) -> None:
    """End an `up` on this folder, and whatever a killed one has left; with `purge` the folder goes too."""
    data_dir = data_dir.absolute()
    folder.end_holder(data_dir)
    sweep(data_dir)  # also where the folder was removed by hand
    if purge and data_dir.exists():
        Postgres(data_dir / "postgres").remove()
        folder.remove(data_dir)


def _summary(running: Running, seconds: float) -> str:
    settings, at = running.settings, running.addresses
    lines = [
        f"labelloop is up after {seconds:.0f} s. Loops: {', '.join(running.loops) or 'none yet'}",
        f"  Label Studio  {at['label_studio']}",
    ]
    if running.login:
        where = settings.data_dir / FILE
        lines.append(f"    log in as   {running.login}, with LABELLOOP_LABEL_STUDIO_PASSWORD of {where}")
    lines += [
        f"  intake        {at['sync']}  (its token: LABELLOOP_INTAKE_TOKEN, same file)",
        f"  ML backend    {at['backend']}",
        f"  review        {at['review']}  (log in with LABELLOOP_REVIEW_TOKEN, same file)",
        f"  Postgres      {at['postgres']}",
        f"  logs          {settings.data_dir / 'logs'}",
        "Next: `labelloop submit FILE` sends outputs, `labelloop status` shows the loop; Ctrl-C stops everything.",
    ]
    return "\n".join(lines)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM, and the closing of the terminal, end the `with` as Ctrl-C does."""
    with _signals({signal.SIGTERM: _interrupt, signal.SIGHUP: _interrupt}):
        yield


@contextmanager
def _uninterruptible() -> Iterator[None]:
    """A second Ctrl-C must not leave half of it running."""
    with _signals(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN)):
        yield


@contextmanager
def _signals(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Whoever started us with nohup wants SIGHUP ignored.
    wanted = {s: h for s, h in handlers.items() if signal.getsignal(s) is not signal.SIG_IGN}
    before = {s: signal.signal(s, h) for s, h in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
