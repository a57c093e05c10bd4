"""Predict: the champion's predictions for Label Studio's tasks, with limits on concurrent requests and their time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from backend.encode.inputs import with_inputs
from backend.learners.others import deadline
from backend.serve.champions import Serving
from backend.serve.forms import Fit, fit, named
from backend.serve.turns import Label, Turns
from labelloop.errors import Busy, Retriable, SettingsError
from labelloop.labeling import results
from labelloop.labeling.config import SHOWN_LABEL
from labelloop.store.database import Database
from labelloop.store.pipelines import blind_tasks
from labelloop.store.questions import serving

AT_ONCE = 12
"""Requests that may run or wait for a model at a time. gunicorn has 16 threads, so health checks and refused requests
always find a free one.
"""
BUDGET_S, BUDGET_TASK_S = 5.0, 0.06
"""A request for 1 task has 5 s, one for 1000 has 65 s; Label Studio gives up after 100 s."""
REMEMBERED_WARNINGS = 1_000
"""Warnings that are remembered, so that each is logged once."""
logger = logging.getLogger(__name__)


class Predictor:
    """Predicts tasks with the model of their loop. Safe for threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns: dict[str, Turns] = {}
        self._lock = threading.Lock()
        self._logged: set[tuple[str, ...]] = set()
        self.running = 0
        """Requests that have a place now."""
        self.unseen: dict[str, int] = {}
        """Loop to the number of labels in its form that its model was never trained on, as of the last request."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of AT_ONCE places. Raises Busy at once if none is free, since a queue would delay all requests."""
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
        """Return the reasons why the serving model cannot answer in the form `xml`; empty if it can."""
        params, classes = ({}, ()) if now.learner is None else (now.learner.params, now.learner.classes)
        field = params.get("field")
        found = fit(xml, now.spec.config, field if isinstance(field, str) else None, classes)
        self.unseen[now.loop] = len(found.unseen)
        self._log(now, found)
        return found.faults

    def answer(self, now: Serving, tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return a prediction for each task, in order. Its result is empty if the model gives none, and if people
        answer the task without a prelabel.

        `score` is the confidence, 0 to 1; 0 for a task without a prelabel. Raises Busy if the time is not enough.
        """
        labels: Sequence[Label]
        if now.learner is None:
            labels = self._labels_of_pipeline(now.loop, tasks)
        else:
            until = time.monotonic() + BUDGET_S + BUDGET_TASK_S * len(tasks)
            turns = self._turns.setdefault(now.loop, Turns())
            # The pictures of open tasks were fetched when the tasks were scored, so no annotator waits for one here.
            data = self._inputs(now, [task["data"] for task in tasks])
            with deadline.within(deadline.ANNOTATOR_S):
                labels = turns.predict(now.learner, data, until)
        blind = self._blind(now.loop, tasks)
        return [
            {
                "result": self._result(now, label, task["data"]) if not shows_none else [],
                "score": 0.0 if shows_none else confidence,
                "model_version": now.version,
            }
            for task, (label, confidence), shows_none in zip(tasks, labels, blind, strict=True)
        ]

    def _inputs(self, now: Serving, data: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """Return the items with their kept pictures and vectors; without those if the loop's encoder is unusable."""
        try:
            return with_inputs(self._database, None, now.spec, data)
        except SettingsError as exc:  # the loop was changed after the model was trained
            self._say_once((now.loop, now.version, str(exc)), "loop %s: %s", now.loop, exc)
            return data
        except Retriable:
            if now.spec.learner.encoder is None:
                raise
            return data  # while Postgres is away, the champion encodes the texts itself

    def _result(self, now: Serving, label: str | None, data: Mapping[str, Any]) -> list[dict[str, Any]]:
        return results.preselect(now.spec.config, label, data.get(SHOWN_LABEL) or None, data)

    def _blind(self, loop: str, tasks: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Return for each task whether people answer it without a prelabel.

        A task with the pipeline's label is not blind, and needs no look. While Postgres is away, any other may be.
        """
        possible = [not task["data"].get(SHOWN_LABEL) for task in tasks]
        if not any(possible):
            return possible
        ids = [_uuid(task["data"].get("labelloop_output")) for task in tasks]
        own = [task_id if isinstance(task_id := task.get("id"), int) else 0 for task in tasks]
        try:
            with self._database.transaction() as conn:
                drawn, known = blind_tasks.among(conn, loop, [one for one in ids if one is not None], own)
        except Retriable:
            return possible
        return [output_id in drawn or task_id in known for output_id, task_id in zip(ids, own, strict=True)]

    def _labels_of_pipeline(self, loop: str, tasks: Sequence[Mapping[str, Any]]) -> list[Label]:
        ids = [_uuid(task["data"].get("labelloop_output")) for task in tasks]
        with self._database.transaction() as conn:
            known = serving.pipeline_labels(conn, loop, [i for i in ids if i is not None])
        rows = [None if output_id is None else known.get(output_id) for output_id in ids]
        return [(None, 0.0) if row is None else (row.label, row.confidence or 0.0) for row in rows]

    def _log(self, now: Serving, found: Fit) -> None:
        """Log each difference once, not with every request."""
        difference = (now.loop, now.version, *found.faults, *found.unseen)
        if found.faults:
            what = "loop %s: the form in Label Studio does not fit: %s"
            self._say_once(difference, what, now.loop, "; ".join(found.faults))
        elif found.unseen:
            what = "loop %s: version %s was never trained on: %s"
            self._say_once(difference, what, now.loop, now.version, named(found.unseen))

    def _say_once(self, mark: tuple[str, ...], what: str, *facts: object) -> None:
        if mark in self._logged:
            return
        if len(self._logged) >= REMEMBERED_WARNINGS:
            self._logged.clear()
        self._logged.add(mark)
        logger.warning(what, *facts)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
