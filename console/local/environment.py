"""Label Studio's own environment: the one that is named, else the checkout's, else one made once for all data folders.

Label Studio pins packages that ours need newer, so it never shares an environment with us. It is installed from the
lock that the tests run on, every file checked by its hash.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from console.local.logs import tail
from labelloop.errors import Failed, UsageError
from labelloop.process.rooms import ROOMS

NAMED = "LABELLOOP_LABEL_STUDIO_PYTHON"
"""Variable that names the Python of an environment with Label Studio."""
LOCK = ROOMS / "locks/label-studio.lock"
CHECKOUT = ROOMS / ".venv-label-studio"
"""Made by `make setup`."""
DONE = "labelloop-installed"
"""File that an installation writes last: if it is missing, the installation was interrupted."""


def find_python(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the Python of Label Studio's environment; None if that is still to be made.

    Raises UsageError if the environment names one that is not there.
    """
    if given := environ.get(NAMED):
        if not Path(given).exists():
            raise UsageError(f"{NAMED} names {given}, which is not there")
        return Path(given).absolute()
    if (python := CHECKOUT / "bin/python").exists():
        return python
    return _python(place(environ)) if _is_made(place(environ)) else None


def place(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of our own environment: one for each lock and version of Python, below XDG_DATA_HOME."""
    data = environ.get("XDG_DATA_HOME", "")
    try:
        home = Path(data) if data.startswith("/") else Path.home() / ".local/share"
    except RuntimeError as exc:
        raise UsageError(f"this user has no home to install Label Studio in: set XDG_DATA_HOME or {NAMED}") from exc
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    return home / "labelloop" / f"label-studio-{digest}-py{sys.version_info.major}.{sys.version_info.minor}"


def make(tick: Callable[[int, int], object] = lambda done, of: None) -> Path:
    """Install Label Studio unless another start has done so meanwhile, and return its Python.

    `tick` is told how many packages are installed, and of how many. The next start begins an interrupted installation
    anew; the cache of pip or uv still has the files.
    """
    folder = place()
    with _alone(folder) as alone:
        if _is_made(folder):
            return _python(folder)
        troubles = []
        for commands in _ways(folder):
            shutil.rmtree(folder, ignore_errors=True)
            trouble = next(filter(None, (_run(words, folder, alone, tick) for words in commands)), None)
            if trouble is None:
                (folder / DONE).touch()
                return _python(folder)
            troubles.append(trouble)
    raise Failed("Label Studio cannot be installed. " + "\n".join(troubles))


def _ways(folder: Path) -> Iterator[list[list[str]]]:
    """Yield the commands that make the environment: those of uv if it is installed, since it is faster, then pip's.

    uv does not read pip's settings, so pip may reach a package index that uv does not.
    """
    python, lock = str(_python(folder)), str(LOCK)
    if (uv := shutil.which("uv")) is not None:
        sync = [uv, "pip", "sync", "--python", python, "--require-hashes", "--build-constraints", lock]
        yield [[uv, "venv", "--python", sys.executable, str(folder)], [*sync, "--compile-bytecode", lock]]
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]
    yield [[sys.executable, "-m", "venv", str(folder)], [*pip, "--require-hashes", "-r", lock]]


def _run(words: list[str], folder: Path, alone: IO[str], tick: Callable[[int, int], object]) -> str | None:
    """Run a command to its end. Return None if it succeeded, else a message with the end of its log."""
    log = _beside(folder, "log")
    of = len(re.findall("^[a-zA-Z0-9].*==", LOCK.read_text(), re.MULTILINE))
    with (
        log.open("wb") as out,
        subprocess.Popen(
            words,
            cwd=folder.parent,
            env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            pass_fds=[alone.fileno()],  # if we are killed, the next start waits for this process too
        ) as process,
    ):
        try:
            while process.poll() is None:
                # pip says the name of each package first, and puts all of them in place at the end.
                named = log.read_bytes().count(b"\nCollecting ")
                placed = sum(1 for _ in folder.glob("lib/python*/site-packages/*.dist-info"))
                tick(min(placed + named, 2 * of), (1 + (named > 0)) * of)
                time.sleep(0.5)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode == 0:
        return None
    return f"{Path(words[0]).name} ended with {process.returncode}; its log, {log}:\n{tail(log)}"


@contextmanager
def _alone(folder: Path) -> Iterator[IO[str]]:
    """Hold the folder's lock, after waiting for another start that installs. It is released on kill -9 too."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = _beside(folder, "lock").open("a")
    except OSError as exc:
        raise UsageError(
            f"Label Studio cannot be installed in {folder.parent} ({exc.strerror}): set XDG_DATA_HOME or {NAMED}"
        ) from exc
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def _is_made(folder: Path) -> bool:
    return (folder / DONE).exists() and _python(folder).exists()


def _python(folder: Path) -> Path:
    return folder / "bin/python"


def _beside(folder: Path, ending: str) -> Path:
    return folder.with_name(f"{folder.name}.{ending}")
