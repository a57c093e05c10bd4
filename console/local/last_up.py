"""Which `up` is meant where nobody names a data folder: the newest that runs, from whatever folder one asks."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from console.local.folder import is_held

KEPT = 20
"""Data folders that are remembered: an older `up` may outlive a newer one."""


def remember(data_dir: Path) -> None:
    """Write down that an `up` runs on this folder. A home that cannot be written to only means that nobody finds it."""
    with suppress(OSError, RuntimeError):
        file = _file()
        file.parent.mkdir(parents=True, exist_ok=True)
        others = [line for line in _lines(file) if line != str(data_dir)]
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text("".join(f"{line}\n" for line in [str(data_dir), *others][:KEPT]))
        part.rename(file)


def running() -> list[Path]:
    """The data folders of this user on which an `up` runs at this moment, the newest first."""
    try:
        remembered = _lines(_file())
    except (OSError, RuntimeError):
        return []
    return [Path(line) for line in remembered if is_held(Path(line))]


def _file() -> Path:
    """As the XDG Base Directory Specification has it. Raises RuntimeError where the user has no home."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state.startswith("/") else Path.home() / ".local/state") / "labelloop/ups"


def _lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []
