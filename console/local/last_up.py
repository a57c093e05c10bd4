"""Remember the data folders of `up`s, newest first: the default of commands and clients without a data folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from labelloop.process import ups

REMEMBERED_DATA_DIRS = 20
"""Number of data folders remembered; more than one, because an older `up` may outlive a newer one."""


def remember(data_dir: Path) -> None:
    """Record that an `up` runs on this folder. If the home is not writable, commands need --data-dir."""
    with suppress(OSError, RuntimeError):
        file = ups.file()
        file.parent.mkdir(parents=True, exist_ok=True)
        others = [line for line in ups.lines(file) if line != str(data_dir)]
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text("".join(f"{line}\n" for line in [str(data_dir), *others][:REMEMBERED_DATA_DIRS]))
        part.rename(file)
