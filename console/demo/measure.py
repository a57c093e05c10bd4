"""One round's figures, read from Postgres, from the served predictions and from the version's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from backend import models
from console.demo import replay
from console.demo.items import Items
from console.demo.options import DemoOptions
from console.demo.retrying import retrying
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.results import given
from labelloop.process.settings import Settings
from labelloop.reading.ids import ProjectId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import figures as figure_store
from labelloop.store.tables import projects
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun
from labelloop.versions.version import PIPELINE, short


@dataclass(frozen=True, slots=True)
class Measure:
    items: Items
    spec: LoopSpec
    settings: Settings
    database: Database
    pipeline_labels: Sequence[str]
    """Labels that the pipeline's model predicts for the test set."""
    options: DemoOptions

    def row(self, run: RetrainRun) -> dict[str, Any]:
        """Return the figures of a round, after the run that ended it."""
        with self.database.transaction() as conn:
            champion = version_store.champion(conn, self.spec.name)
            project = projects.get(conn, self.spec.name)
            teachable = figure_store.trainable_keys(conn, self.spec.name)
            answers = figure_store.counts(conn, self.spec.name).answered
        scores = run.evaluation
        served = scores.get("challenger" if run.status == "promoted" else "champion") or {}
        trained_on = scores.get("trained_on") or 0
        random_order = self._random_order(teachable, trained_on) if trained_on else None
        challenger = None
        if run.version_id is not None and self.settings.models_dir is not None:
            challenger = replay.accuracy(models.load(self.settings.models_dir, run.version_id), self.items)
        labels: Sequence[str | None] = self.pipeline_labels
        if champion is not None and project is not None:
            labels = self._served(project.id, champion.id)
        return {
            "answers": answers,
            "taught": trained_on,
            "champion": PIPELINE if champion is None else short(champion.id),
            "accuracy": served.get("accuracy"),
            "low": served.get("low"),
            "high": served.get("high"),
            "test_accuracy": replay.accuracy_of(labels, self.items),
            "challenger_test_accuracy": challenger,
            "random_test_accuracy": random_order and random_order.mean,
            "random_low": random_order and random_order.low,
            "random_high": random_order and random_order.high,
            "promoted": run.status == "promoted",
            "reasons": list(run.reasons) or [run.error or "no reason was given"],
        }

    def _random_order(self, teachable: Sequence[str], n: int) -> replay.Reached | None:
        index = {key: i for i, key in enumerate(self.items.keys)}
        known = [index[key] for key in teachable if key in index]
        return replay.random_order(self.items, known, n, self.spec, self.options.skill, self.options.seed)

    def _served(self, project_id: ProjectId, champion_id: str) -> list[str | None]:
        """Return the labels that the running ML backend predicts for the test set."""
        labels: list[str | None] = []
        for start in range(0, len(self.items.test), 100):
            tasks = [{"id": i, "data": self.items.data[i]} for i in self.items.test[start : start + 100]]
            body = {"tasks": tasks, "project": f"{project_id}.0", "params": {}}
            answer = retrying("the ML backend's answer", partial(self._predict, body, champion_id))
            labels += [served_label(self.spec.config, result["result"]) for result in answer]
        return labels

    def _predict(self, body: object, champion_id: str) -> list[dict[str, Any]] | None:
        """Return the backend's predictions; None while it does not answer or still serves another version."""
        auth = (self.settings.backend_user, self.settings.backend_password)
        try:
            answer = httpx.post(f"{self.settings.backend_url}/predict", json=body, auth=auth, timeout=60)
        except httpx.TransportError:
            return None
        if answer.status_code >= 500:
            return None
        results: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
        return results if all(r["model_version"] == short(champion_id) for r in results) else None


def served_label(config: LabelingConfig, result: object) -> str | None:
    """Return the label that a prediction preselects; None if it preselects none.

    A form that asks whether the pipeline is correct has it in the correction, and leaves the verdict to people.
    """
    return given(config.answer, result)
