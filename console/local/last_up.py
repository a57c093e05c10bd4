"""The data folders of running `up`s, newest first: the default of commands without a data folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from console.local.folder import is_held

REMEMBERED_DATA_DIRS = 20
"""Number of data folders remembered; more than one, because an older `up` may outlive a newer one."""


def remember(data_dir: Path) -> None:
    """Record that an `up` runs on this folder. If the home is not writable, commands need --data-dir."""
    with suppress(OSError, RuntimeError):
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        others = [line for line in _lines(file) if line != str(data_dir)]
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text("".join(f"{line}\n" for line in [str(data_dir), *others][:REMEMBERED_DATA_DIRS]))
        part.rename(file)


def running() -> list[Path]:
    """Return the data folders on which an `up` of this user runs now, newest first."""
    try:
        remembered = _lines(_file())
    except (OSError, RuntimeError):
        return []
    return [Path(line) for line in remembered if is_held(Path(line))]


def _file() -> Path:
    """Return the file, placed as in the XDG Base Directory Specification. Raises RuntimeError without a home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local/state") / "labelloop/ups"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
