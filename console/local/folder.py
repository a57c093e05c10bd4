"""The data folder: one `up` at a time holds it, and it can be told from folders that are not ours."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labelloop.errors import Failed, UsageError

HOLDER = "run.json"


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """The folder, made if it is missing, for nobody else until the end of the `with`.

    A kill -9 lets go of it too. Raises UsageError when somebody holds it, or when it is full of something else.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"{data_dir} cannot be made ({exc.strerror}): choose another --data-dir") from exc
    file = data_dir / HOLDER
    if not file.exists() and any(data_dir.iterdir()):
        raise UsageError(f"{data_dir} is not empty, and not a data folder of labelloop: choose another --data-dir")
    # The server's user of Postgres must come through; the names of what is inside stay ours.
    data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    with file.open("a+") as handle:
        for tries_left in reversed(range(5)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not tries_left:
                    raise UsageError(f"labelloop runs on {data_dir} already (process {holder(data_dir)})") from None
                time.sleep(0.05)  # somebody may only be looking whether it is held
        handle.truncate(0)
        handle.write(json.dumps({"pid": os.getpid()}))
        handle.flush()
        yield


def holder(data_dir: Path) -> int | None:
    """The process that holds the folder, or held it last."""
    try:
        return int(json.loads((data_dir / HOLDER).read_text())["pid"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def end_holder(data_dir: Path, seconds: float = 40.0) -> int | None:
    """Ask a running `up` on this folder to stop, and wait until it lets go of the folder.

    Returns its process; None where none runs.
    """
    deadline = time.monotonic() + seconds
    asked, pid = False, None
    while is_held(data_dir):
        pid = holder(data_dir)
        if pid is not None and not asked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            asked = True
        if time.monotonic() > deadline:
            raise Failed(f"process {pid}, which runs labelloop on {data_dir}, does not end")
        time.sleep(0.1)
    return pid


def is_held(data_dir: Path) -> bool:
    """Whether an `up` runs on the folder. The lock tells: the number of a process may be another process's by now."""
    try:
        with (data_dir / HOLDER).open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # two who look at once do not see each other
    except BlockingIOError:
        return True
    except OSError:  # there is none, or it is another user's
        return False
    return False


def remove(data_dir: Path) -> None:
    """The folder with everything in it; refuses one that is not ours."""
    if not (data_dir / HOLDER).exists():
        raise UsageError(f"{data_dir} is not a data folder of labelloop: nothing is removed")
    for _ in range(20):
        shutil.rmtree(data_dir, ignore_errors=True)
        if not data_dir.exists():
            return
        time.sleep(0.1)  # a log that was being written just now
    raise Failed(f"{data_dir} cannot be removed")
