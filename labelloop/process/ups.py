"""The data folders on which a `labelloop up` of this user runs. `console/local/last_up.py` remembers them."""

from __future__ import annotations

import os
from pathlib import Path

HOLDER = "run.json"
"""The file in a data folder that its `up` keeps locked."""


def running() -> list[Path]:
    """Return the data folders on which an `up` of this user runs now, newest first."""
    try:
        remembered = lines(file())
    except (OSError, RuntimeError):
        return []
    return [Path(line) for line in remembered if is_held(Path(line))]


def is_held(data_dir: Path) -> bool:
    """Return whether an `up` runs on the folder. Tests the lock, because process numbers are reused."""
    import fcntl  # not on every system on which a client runs

    try:
        with (data_dir / HOLDER).open("r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two checks at once do not disturb each other
    except BlockingIOError:
        return True
    except OSError:  # the file is missing, or belongs to another user
        return False
    return False


def file() -> Path:
    """Return the file, placed as in the XDG Base Directory Specification. Raises RuntimeError without a home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local/state") / "labelloop/ups"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
