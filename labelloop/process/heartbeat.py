"""The worker's heartbeat: a file that the worker touches, and whose age a health check reads.

`python -m labelloop.process.heartbeat` is that check. Exit status: 0 the worker is alive, 1 it is stuck or not working.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from pathlib import Path

from labelloop.process.settings import Settings

logger = logging.getLogger(__name__)

BEATS = 6
"""A worker whose last beat is older than this many heartbeats counts as stuck."""


async def beat(file: Path | None, every_s: float) -> None:
    """Touch `file` every `every_s` seconds until cancelled; return at once if `file` is None.

    It runs in the worker's event loop, so that the beats stop when that loop hangs or its process is stopped.
    """
    while file is not None:
        try:
            file.touch()
        except OSError as exc:
            logger.warning("the heartbeat cannot be written: %s", exc)
        await asyncio.sleep(every_s)


class Pulse:
    """The heartbeat of a process without an event loop: it calls `beat` wherever it waits."""

    def __init__(self, file: Path | None, every_s: float) -> None:
        self._file, self._every_s, self._due = file, every_s, 0.0

    def beat(self) -> None:
        """Touch the file if a beat is due."""
        if self._file is None or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._every_s
        try:
            self._file.touch()
        except OSError as exc:
            logger.warning("the heartbeat cannot be written: %s", exc)


def age_s(file: Path) -> float | None:
    """Return the seconds since the last beat; None if there was none."""
    try:
        return max(0.0, time.time() - file.stat().st_mtime)
    except FileNotFoundError:
        return None


def main() -> int:
    settings = Settings.from_env(os.environ)
    if settings.heartbeat_file is None:
        print("not set: LABELLOOP_HEARTBEAT_FILE, the file that the worker touches", file=sys.stderr)
        return 1
    age = age_s(settings.heartbeat_file)
    print("no heartbeat so far" if age is None else f"last heartbeat {age:.0f} s ago")
    return 0 if age is not None and age <= BEATS * settings.heartbeat_s else 1


if __name__ == "__main__":
    sys.exit(main())
