"""`labelloop up`: everything on one machine, for as long as somebody wants it, and nothing of it afterwards."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from console.local import folder, last_up
from console.local.leftovers import sweep
from console.local.options import UpOptions
from console.local.postgres import Postgres
from console.local.start import Start
from console.local.steps import Announce, Progress, silent
from console.local.supervisor import Supervisor
from console.local.watch import LOOK_EVERY_S, Watch
from labelloop.errors import Failed
from labelloop.process.settings import FILE, Settings
from labelloop.store.database import Database

__all__ = ["Running", "UpOptions", "down", "up", "usable"]


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

    def wait(self, announce: Announce = print) -> None:
        """Tell what changes until Ctrl-C or SIGTERM; raises Failed if the supervisor itself ends."""
        try:
            with Database(self.settings.database_url, size=1, wait_s=2) as database:
                watch = Watch(self.supervisor, database)
                while self.supervisor.is_alive():
                    for line in watch.look():
                        announce(f"{time.strftime('%H:%M:%S')}  {line}")
                    time.sleep(LOOK_EVERY_S)
        except KeyboardInterrupt:
            return
        raise Failed(f"the supervisor has ended; its log is {self.supervisor.log('supervisor')}")


@contextmanager
def up(options: UpOptions, announce: Announce = print, progress: Progress = silent) -> Iterator[Running]:
    """Start what is asked for, and end all of it with the `with`. On a folder that was used before it goes on there."""
    began = time.monotonic()
    data_dir = options.data_dir.absolute()
    with folder.held(data_dir), _interruptible():
        announce(f"everything is kept in {data_dir}, the logs in its folder logs")
        if sweep(data_dir):
            announce("ended what an earlier start had left behind")
        supervisor = Supervisor(data_dir)
        try:
            with progress() as tick:
                settings, names = Start(options, data_dir, supervisor, announce, tick).everything()
            running = Running(settings, names, supervisor)
            last_up.remember(data_dir)
            announce(_summary(running, time.monotonic() - began))
            yield running
        finally:
            with _uninterruptible():
                if supervisor.is_alive():
                    announce(f"ending all of it; what was stored stays in {data_dir}")
                supervisor.stop(last="postgres")


def down(data_dir: Path, purge: bool = False, announce: Announce = print) -> None:
    """End an `up` on this folder, and whatever a killed one has left; with `purge` the folder goes too."""
    data_dir = data_dir.absolute()
    if folder.is_held(data_dir):
        announce(f"ending the `up` on {data_dir} (process {folder.holder(data_dir)})")
    ended = folder.end_holder(data_dir)
    left = sweep(data_dir)  # also where the folder was removed by hand
    if ended is None and not left:
        announce(f"nothing runs on {data_dir}")
    elif left:
        announce(f"ended {left} processes that a killed `up` had left on {data_dir}")
    else:
        announce("it has ended, with all that it had started")
    if not data_dir.exists():
        return
    if purge:
        Postgres(data_dir / "postgres").remove()
        folder.remove(data_dir)
        announce(f"removed {data_dir} with everything in it")
    elif (data_dir / FILE).exists():
        announce(f"what was stored stays in {data_dir}: `labelloop up` goes on there, `down --purge` removes it")


def _summary(running: Running, seconds: float) -> str:
    settings, at = running.settings, running.addresses
    administrator = [f"{running.login}, LABELLOOP_LABEL_STUDIO_PASSWORD"] if running.login else []
    places = {
        "Label Studio": [at["label_studio"], *administrator],
        "review pages": [at["review"], "LABELLOOP_REVIEW_TOKEN"],
        "intake": [at["sync"], "LABELLOOP_INTAKE_TOKEN"],
        "secrets": [str(settings.data_dir / FILE)],
    }
    lines = [f"labelloop is up after {seconds:.0f} s. Loops: {', '.join(running.loops) or 'none yet'}"]
    for name, (place, *more) in places.items():
        lines += [f"  {name:<13} {place}", *(f"  {'':<13} {words}" for words in more)]
    lines += ["In another terminal these lines make `labelloop` work:"]
    lines += [f"  {line}" for line in usable(settings.data_dir)]
    lines += ["Next: `labelloop invite` prints the link by which people sign up, `labelloop"]
    lines += ["submit FILE` sends outputs. Ctrl-C here, or `labelloop down`, ends everything."]
    return "\n".join(lines)


def usable(data_dir: Path) -> list[str]:
    """The lines after which a shell finds the command `labelloop`, and the command this folder."""
    programs = Path(sys.executable).parent
    path = [f'export PATH={shlex.quote(str(programs))}:"$PATH"'] if (programs / "labelloop").exists() else []
    return [*path, f"export LABELLOOP_DATA_DIR={shlex.quote(str(data_dir))}"]


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
