"""`labelloop up`: all services on one machine until Ctrl-C; no process is left afterwards."""

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
from console.local.ports import Reserved
from console.local.postgres import Postgres
from console.local.start import Start, find_loops_dir
from console.local.steps import Announce, Progress, silent
from console.local.supervisor import Supervisor
from console.local.watch import CHECK_EVERY_S, Watch
from labelloop.errors import Failed
from labelloop.process.settings import FILE, Settings
from labelloop.process.ups import is_held
from labelloop.store.database import Database

__all__ = ["Running", "UpOptions", "down", "up", "usable"]


@dataclass(frozen=True, slots=True)
class Running:
    """The running services of one `up`."""

    settings: Settings
    loops: list[str]
    supervisor: Supervisor

    @property
    def addresses(self) -> dict[str, str]:
        """The address of each service, without passwords."""
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
        """The administrator's e-mail; empty if the user has their own Label Studio. The password is in the settings."""
        return self.settings.label_studio_user

    def wait(self, announce: Announce = print) -> None:
        """Print changes of state until Ctrl-C or SIGTERM. Raises Failed if the supervisor itself ends."""
        try:
            with Database(self.settings.database_url, size=1, wait_s=2) as database:
                watch = Watch(self.supervisor, database)
                while self.supervisor.is_alive():
                    for line in watch.changes():
                        announce(f"{time.strftime('%H:%M:%S')}  {line}")
                    time.sleep(CHECK_EVERY_S)
        except KeyboardInterrupt:
            return
        raise Failed(f"the supervisor has ended; its log is {self.supervisor.log('supervisor')}")


@contextmanager
def up(options: UpOptions, announce: Announce = print, progress: Progress = silent) -> Iterator[Running]:
    """Start the services, and end all of them at the end of the `with`. A folder with data is continued."""
    began = time.monotonic()
    data_dir = options.data_dir.absolute()
    find_loops_dir(options.loops_dir)  # a wrong one is refused before anything is written
    with folder.held(data_dir), Reserved() as reserved, _interruptible():
        announce(f"data is in {data_dir}, logs are in its folder logs")
        if sweep(data_dir):
            announce("ended processes that an earlier start had left behind")
        supervisor = Supervisor(data_dir)
        try:
            with progress() as tick:
                settings, names = Start(options, data_dir, supervisor, reserved, announce, tick).everything()
            running = Running(settings, names, supervisor)
            last_up.remember(data_dir)
            announce(_summary(running, time.monotonic() - began))
            yield running
        finally:
            with _uninterruptible():
                if supervisor.is_alive():
                    announce(f"stopping all services; the data stays in {data_dir}")
                supervisor.stop(last="postgres")


def down(data_dir: Path, purge: bool = False, announce: Announce = print) -> None:
    """Stop an `up` on this folder, and processes that a killed one left; with `purge`, delete the folder."""
    data_dir = data_dir.absolute()
    if is_held(data_dir):
        announce(f"stopping the `up` on {data_dir} (process {folder.holder(data_dir)})")
    ended = folder.end_holder(data_dir)
    left = sweep(data_dir)  # also where the folder was removed by hand
    if ended is None and not left:
        announce(f"nothing runs on {data_dir}")
    elif left:
        announce(f"ended {left} processes that a killed `up` had left on {data_dir}")
    else:
        announce("it has stopped, with all its services")
    if not data_dir.exists():
        return
    if purge:
        Postgres(data_dir / "postgres").remove()
        folder.remove(data_dir)
        announce(f"deleted {data_dir} with everything in it")
    elif (data_dir / FILE).exists():
        announce(f"the data stays in {data_dir}: `labelloop up` continues with it, `down --purge` deletes it")


def _summary(running: Running, seconds: float) -> str:
    settings, at = running.settings, running.addresses
    administrator = [f"{running.login}, LABELLOOP_LABEL_STUDIO_PASSWORD"] if running.login else []
    places = {
        "Label Studio": [at["label_studio"], *administrator],
        "review pages": [at["review"], "LABELLOOP_REVIEW_TOKEN"],
        "intake": [at["sync"], "LABELLOOP_INTAKE_TOKEN"],
        "secrets": [str(settings.data_dir / FILE)],
        "loops folder": [str(settings.loops_dir)],
    }
    lines = [f"labelloop is up after {seconds:.0f} s. Loops: {', '.join(running.loops) or 'none yet'}"]
    for name, (place, *more) in places.items():
        lines += [f"  {name:<13} {place}", *(f"  {'':<13} {words}" for words in more)]
    lines += ["To use `labelloop` in another terminal, run these lines there:"]
    lines += [f"  {line}" for line in usable(settings.data_dir)]
    if not running.loops:
        lines += ["Next: `labelloop init NAME --from FILE --text COLUMN --label COLUMN` makes a loop from a table of"]
        lines += ["predictions, and `labelloop init NAME --labels a,b,c` one for a program."]
    lines += ["Next: `labelloop invite` prints the link with which annotators sign up;"]
    lines += ["`labelloop submit FILE` sends outputs. Ctrl-C or `labelloop down` stops all."]
    return "\n".join(lines)


def usable(data_dir: Path) -> list[str]:
    """Return the lines after which a shell finds the command `labelloop`, and the command finds this folder."""
    programs = Path(sys.executable).parent
    path = [f'export PATH={shlex.quote(str(programs))}:"$PATH"'] if (programs / "labelloop").exists() else []
    return [*path, f"export LABELLOOP_DATA_DIR={shlex.quote(str(data_dir))}"]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the `with` as Ctrl-C does."""
    with _signals({signal.SIGTERM: _interrupt, signal.SIGHUP: _interrupt}):
        yield


@contextmanager
def _uninterruptible() -> Iterator[None]:
    """Ignore signals, so that a second Ctrl-C does not leave processes running."""
    with _signals(dict.fromkeys((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), signal.SIG_IGN)):
        yield


@contextmanager
def _signals(handlers: Mapping[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # nohup sets SIGHUP to ignored, and it must stay so.
    wanted = {s: h for s, h in handlers.items() if signal.getsignal(s) is not signal.SIG_IGN}
    before = {s: signal.signal(s, h) for s, h in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt
