"""Progress of a start: a bar for the current step, and a line for each finished step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Announce = Callable[[str], object]
"""Prints a line."""
Tick = Callable[[str, int, int], object]
"""Updates the bar: text, amount done, total (0 if unknown)."""
Progress = Callable[[], AbstractContextManager[Tick]]


@contextmanager
def silent() -> Iterator[Tick]:
    """Show no bar, only lines."""
    yield lambda words, done, of: None


class Steps:
    """The numbered steps of one start, with the seconds that each took."""

    def __init__(self, announce: Announce, tick: Tick, of: int) -> None:
        self.announce, self._tick, self._of = announce, tick, of
        self._number, self._since = 0, time.monotonic()

    def begin(self, words: str) -> Callable[[int, int], object]:
        """Show the current step. Returns a function (done, of) that updates its bar."""
        shown = f"{self._number + 1} of {self._of}  {words}"
        self._tick(shown, 0, 0)
        return lambda done, of: self._tick(shown, done, of)

    def done(self, words: str) -> None:
        now = time.monotonic()
        self._number += 1
        self.announce(f"{self._number} of {self._of}  {words} ({now - self._since:.0f} s)")
        self._since = now
