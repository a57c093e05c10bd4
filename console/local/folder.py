"""The data folder: locked by one `up` at a time, and marked so that no other folder is taken for one."""

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
from labelloop.process.ups import HOLDER, is_held


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Create the folder if it is missing, and lock it until the end of the `with`.

    A kill -9 releases the lock too. Raises UsageError if another `up` holds it, or if it has other contents.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise UsageError(f"{data_dir} cannot be created ({exc.strerror}): choose another --data-dir") from exc
    file = data_dir / HOLDER
    if not file.exists() and any(data_dir.iterdir()):
        raise UsageError(f"{data_dir} is not empty and not a data folder of labelloop: choose another --data-dir")
    # The user that runs Postgres must pass through the folder, but may not list it.
    data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
    with file.open("a+") as handle:
        for tries_left in reversed(range(5)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not tries_left:
                    raise UsageError(f"labelloop already runs on {data_dir} (process {holder(data_dir)})") from None
                time.sleep(0.05)  # another process may hold the lock for a moment, to check it
        handle.truncate(0)
        handle.write(json.dumps({"pid": os.getpid()}))
        handle.flush()
        yield


def holder(data_dir: Path) -> int | None:
    """Return the process that holds the folder, or held it last; None if unknown."""
    try:
        return int(json.loads((data_dir / HOLDER).read_text())["pid"])
    except (FileNotFoundError, ValueError, KeyError):
        return None


def end_holder(data_dir: Path, seconds: float = 40.0) -> int | None:
    """Ask a running `up` on this folder to stop, and wait until it releases the folder.

    Returns its process; None if none runs.
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
            raise Failed(f"process {pid}, which runs labelloop on {data_dir}, does not stop")
        time.sleep(0.1)
    return pid


def remove(data_dir: Path) -> None:
    """Delete the folder with everything in it. Raises UsageError if it is not a data folder."""
    if not (data_dir / HOLDER).exists():
        raise UsageError(f"{data_dir} is not a data folder of labelloop: nothing is removed")
    for _ in range(20):
        shutil.rmtree(data_dir, ignore_errors=True)
        if not data_dir.exists():
            return
        time.sleep(0.1)  # a process may have written a log meanwhile
    raise Failed(f"{data_dir} cannot be removed")
