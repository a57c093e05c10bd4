"""Predict: what the champion says of some tasks, within a bound of requests at a time and a budget of time for each."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from backend.learners.others import deadline
from backend.serve.champions import Serving
from backend.serve.forms import Fit, fit, named
from backend.serve.turns import Label, Turns
from labelloop.errors import Busy
from labelloop.labeling import results
from labelloop.labeling.config import SHOWN_LABEL
from labelloop.pictures.kept import with_pictures
from labelloop.store.database import Database
from labelloop.store.questions import serving

AT_ONCE = 12
"""Requests that are answered, or wait for the model. gunicorn has 16 threads, so that who asks whether we live, and who
is told to come again, never waits for a model.
"""
BUDGET_S, BUDGET_TASK_S = 5.0, 0.06
"""A request for 1 task has 5 s, one for 1000 has 65 s; Label Studio gives up after 100 s."""
SAID = 1_000
"""Differences of forms that are remembered, so that each is logged once."""
logger = logging.getLogger(__name__)


class Predictor:
    """Safe for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns: dict[str, Turns] = {}
        self._lock = threading.Lock()
        self._said: set[tuple[str, ...]] = set()
        self.running = 0
        """Requests that have a place."""
        self.unseen: dict[str, int] = {}
        """Loop to the number of labels that its form has and its model was never taught, as last asked."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of AT_ONCE. Raises Busy at once where all are taken: to queue would only make everybody late."""
        with self._lock:
            if self.running >= AT_ONCE:
                raise Busy(f"{AT_ONCE} requests for predictions are being answered already; try again in a second")
            self.running += 1
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1

    def faults(self, now: Serving, xml: str) -> tuple[str, ...]:
        """Why the model that serves cannot answer in the form `xml`; empty: it can."""
        params, says = ({}, ()) if now.learner is None else (now.learner.params, now.learner.classes)
        field = params.get("field")
        found = fit(xml, now.spec.config, field if isinstance(field, str) else None, says)
        self.unseen[now.loop] = len(found.unseen)
        self._log(now, found)
        return found.faults

    def answer(self, now: Serving, tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """One item a task, in order; an empty result where there is nothing to say. `score`: the confidence, 0 to 1.

        Raises Busy where the time is not enough.
        """
        said: Sequence[Label]
        if now.learner is None:
            said = self._pipelines(now.loop, tasks)
        else:
            until = time.monotonic() + BUDGET_S + BUDGET_TASK_S * len(tasks)
            turns = self._turns.setdefault(now.loop, Turns())
            # What is shown was scored before, so its picture is kept; no click waits for one to be fetched.
            data = with_pictures(self._database, None, now.spec, [task["data"] for task in tasks])
            with deadline.within(deadline.ANNOTATOR_S):
                said = turns.predict(now.learner, data, until)
        return [
            {
                "result": results.preselect(now.spec.config, label, task["data"].get(SHOWN_LABEL) or None),
                "score": score,
                "model_version": now.version,
            }
            for task, (label, score) in zip(tasks, said, strict=True)
        ]

    def _pipelines(self, loop: str, tasks: Sequence[Mapping[str, Any]]) -> list[Label]:
        ids = [_uuid(task["data"].get("labelloop_output")) for task in tasks]
        with self._database.transaction() as conn:
            known = serving.pipeline_labels(conn, loop, [i for i in ids if i is not None])
        rows = [None if output_id is None else known.get(output_id) for output_id in ids]
        return [(None, 0.0) if row is None else (row.label, row.confidence or 0.0) for row in rows]

    def _log(self, now: Serving, found: Fit) -> None:
        """Each difference once, not with every request."""
        difference = (now.loop, now.version, *found.faults, *found.unseen)
        if not (found.faults or found.unseen) or difference in self._said:
            return
        if len(self._said) >= SAID:
            self._said.clear()
        self._said.add(difference)
        if found.faults:
            logger.warning("loop %s: the form in Label Studio does not fit: %s", now.loop, "; ".join(found.faults))
        else:
            logger.warning("loop %s: version %s was never taught: %s", now.loop, now.version, named(found.unseen))


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
