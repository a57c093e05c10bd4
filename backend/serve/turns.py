"""Turns: one call of a loop's model at a time. Requests for few items come first, and those that wait share one call.

A large request calls the model for a few items at a time, and the small requests take their turn between two calls. So
a small request waits only for a few items of the large one. All small requests that arrive during a call cost one more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from backend.learners import Learner
from backend.score.scoring import predict_readable
from labelloop.errors import Busy

INTERACTIVE_ITEMS = 4
"""Largest number of items in a request that counts as an annotator's, who is waiting."""
MERGED = 32
"""Largest number of items of small requests in one call."""
CHUNK = 128
"""Largest number of items in one call of a large request."""
TURN_S = 0.03
"""Target length of such a call in seconds. An annotator waits half of it on average; a shorter one is all overhead."""
Label = tuple[str | None, float]
"""Label and confidence predicted for an item; (None, 0) if the learner cannot read it."""
Data = Sequence[Mapping[str, object]]


class Turns:
    """The turns of one loop. Safe for threads: a thread that finds the model free calls it for the waiting ones too."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._few: list[_Ask] = []
        self._busy = False

    def predict(self, learner: Learner, data: Data, until: float) -> list[Label]:
        """Return the learner's prediction for each item. Raises Busy at the deadline `until` (time.monotonic)."""
        if not data:
            return []
        if len(data) <= INTERACTIVE_ITEMS:
            return self._turn(_Ask(learner, data, few=True), until)
        labels: list[Label] = []
        n = INTERACTIVE_ITEMS
        while len(labels) < len(data):
            if labels and time.monotonic() >= until:
                raise Busy(f"{len(labels)} of {len(data)} items were done in time; send fewer in one request")
            ask = _Ask(learner, data[len(labels) : len(labels) + n])
            labels += self._turn(ask, until)
            n = max(1, min(2 * n, CHUNK, int(n * TURN_S / ask.took_s)))
        return labels

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
        """Return the oldest waiting small requests that fit into one call; only `ask` if none waits."""
        if not self._few:
            return [ask]
        return [one for one in self._few if one.learner is self._few[0].learner][: MERGED // INTERACTIVE_ITEMS]


class _Ask:
    """Some items of one request, and their labels or the error."""

    def __init__(self, learner: Learner, data: Data, *, few: bool = False) -> None:
        self.learner = learner
        self.data = data
        self.few = few
        self.took_s = TURN_S
        self.labels: list[Label] | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.labels is not None or self.error is not None

    def outcome(self) -> list[Label]:
        if self.labels is None:
            assert self.error is not None
            raise self.error
        return self.labels


def _answer(batch: Sequence[_Ask]) -> None:
    """Call the model for all of them. If that fails, call it for each request, so that only the faulty one fails."""
    began = time.monotonic()
    try:
        labels = _labels(batch[0].learner, [item for ask in batch for item in ask.data])
    except Exception as exc:
        if len(batch) == 1:
            batch[0].error = exc
        else:
            for ask in batch:
                _answer([ask])
        return
    for ask in batch:
        ask.took_s = max(time.monotonic() - began, 1e-6)
        ask.labels, labels = labels[: len(ask.data)], labels[len(ask.data) :]


def _labels(learner: Learner, data: Data) -> list[Label]:
    labels: list[Label] = [(None, 0.0)] * len(data)
    positions, found = predict_readable(learner, data)
    for position, label, confidence in zip(positions, found.labels, found.confidences.tolist(), strict=True):
        labels[position] = (label, confidence)
    return labels
