"""Turns: a loop's model is asked once at a time; requests for few items come first, and those that wait are merged.

So a request for a thousand items, which asks for its next few only after the others have had their turn, holds up
nobody for longer than a few of its items take; and what comes in while the model is busy costs one call more in all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from backend.learners import Learner
from backend.score.scoring import predict_readable
from labelloop.errors import Busy

FEW = 4
"""Items with which a request counts as an annotator's, who waits."""
MERGED = 32
"""Items that are merged into one call at most."""
CHUNK = 128
"""Items of one call of a large request at most."""
TURN_S = 0.03
"""How long such a call should take: an annotator waits for half of it in the mean. Shorter ones are mostly overhead."""
Label = tuple[str | None, float]
"""What is said of an item, with its confidence; (None, 0) where it cannot be read."""
Data = Sequence[Mapping[str, object]]


class Turns:
    """Of one loop. Safe for threads: whoever finds the model free asks it, for those that wait too."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._few: list[_Ask] = []
        self._busy = False

    def predict(self, learner: Learner, data: Data, until: float) -> list[Label]:
        """What the learner says of each item. Raises Busy where the time, `until`, is over (time.monotonic)."""
        if not data:
            return []
        if len(data) <= FEW:
            return self._turn(_Ask(learner, data, few=True), until)
        said: list[Label] = []
        n = FEW
        while len(said) < len(data):
            if said and time.monotonic() >= until:
                raise Busy(f"{len(said)} of {len(data)} items were done in time; ask for fewer at once")
            ask = _Ask(learner, data[len(said) : len(said) + n])
            said += self._turn(ask, until)
            n = max(1, min(2 * n, CHUNK, int(n * TURN_S / ask.took_s)))
        return said

    def _turn(self, ask: _Ask, until: float) -> list[Label]:
        others_first = True
        if ask.few:
            with self._changed:
                self._few.append(ask)
        while True:
            with self._changed:
                while self._busy and not ask.done:
                    if time.monotonic() >= until:
                        if ask in self._few:
                            self._few.remove(ask)
                        raise Busy("the model has too much to do; try again in a few seconds")
                    self._changed.wait(until - time.monotonic())
                if ask.done:
                    return ask.outcome()
                batch = self._together(ask) if others_first else [ask]
                self._few = [one for one in self._few if one not in batch]
                others_first, self._busy = False, True
            try:
                _answer(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _together(self, ask: _Ask) -> list[_Ask]:
        """Those of few items that wait longest and can be asked in one call; `ask` itself where none waits."""
        if not self._few:
            return [ask]
        return [one for one in self._few if one.learner is self._few[0].learner][: MERGED // FEW]


class _Ask:
    """Some items of one request, and what became of them."""

    def __init__(self, learner: Learner, data: Data, *, few: bool = False) -> None:
        self.learner = learner
        self.data = data
        self.few = few
        self.took_s = TURN_S
        self.said: list[Label] | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.said is not None or self.error is not None

    def outcome(self) -> list[Label]:
        if self.said is None:
            assert self.error is not None
            raise self.error
        return self.said


def _answer(batch: Sequence[_Ask]) -> None:
    """Ask the model for all of them; one that it fails at does not take the others along."""
    began = time.monotonic()
    try:
        said = _labels(batch[0].learner, [item for ask in batch for item in ask.data])
    except Exception as exc:
        if len(batch) == 1:
            batch[0].error = exc
        else:
            for ask in batch:
                _answer([ask])
        return
    for ask in batch:
        ask.took_s = max(time.monotonic() - began, 1e-6)
        ask.said, said = said[: len(ask.data)], said[len(ask.data) :]


def _labels(learner: Learner, data: Data) -> list[Label]:
    said: list[Label] = [(None, 0.0)] * len(data)
    positions, found = predict_readable(learner, data)
    for position, label, share in zip(positions, found.labels, found.confidences.tolist(), strict=True):
        said[position] = (label, share)
    return said
