"""What a start tells while it goes on: how far the step at hand is, and a line for each step that is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

Announce = Callable[[str], object]
"""Takes a line that stays."""
Tick = Callable[[str, int, int], object]
"""Takes what is being done, how much of it is done, and of how much; 0 where nobody knows."""
Progress = Callable[[], AbstractContextManager[Tick]]


@contextmanager
def silent() -> Iterator[Tick]:
    """For whoever wants the lines alone."""
    yield lambda words, done, of: None


class Steps:
    """The steps of one start, numbered, with the seconds that each took."""

    def __init__(self, announce: Announce, tick: Tick, of: int) -> None:
        self.announce, self._tick, self._of = announce, tick, of
        self._number, self._since = 0, time.monotonic()

    def begin(self, words: str) -> Callable[[int, int], object]:
        """Say what is being done now; returns what takes how much of it is done, and of how much."""
        shown = f"{self._number + 1} of {self._of}  {words}"
        self._tick(shown, 0, 0)
        return lambda done, of: self._tick(shown, done, of)

    def done(self, words: str) -> None:
        now = time.monotonic()
        self._number += 1
        self.announce(f"{self._number} of {self._of}  {words} ({now - self._since:.0f} s)")
        self._since = now
