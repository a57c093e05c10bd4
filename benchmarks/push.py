"""Push: outputs from Postgres to tasks with predictions, against Label Studio's import of the very same tasks alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count
from statistics import median
from typing import Any

import httpx
import numpy as np

from benchmarks.support.goals import PUSH, Measured
from benchmarks.support.items import submit, texts, texts_spec
from benchmarks.support.rooms import House, Servers, house, quiet
from benchmarks.support.turns import in_turn, ratios
from labelloop.errors import Failed
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import Output
from labelloop.queue.tasks import TaskDraft
from labelloop.reading.ids import ProjectId, TaskId
from labelloop.spec.loop import LoopSpec
from sync.project.project import ensure_project
from sync.push.push import push

TASKS = 1_000
Batches = list[list[dict[str, Any]]]


class Noting(Gateway):
    """A gateway that keeps a copy of what it imports."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self.batches: Batches = []

    def import_tasks(self, project_id: ProjectId, drafts: Sequence[TaskDraft]) -> list[TaskId]:
        self.batches.append([draft.to_json() for draft in drafts])
        return super().import_tasks(project_id, drafts)


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    repeats = 1 if quick else 6
    rng = np.random.default_rng(0)
    names = (f"push-{i}" for i in count())
    with house(servers) as connected, servers.http() as web:
        our = quiet(connected)
        _, batches = _ours(our, web, "warm-up", rng)
        ours, bare = in_turn(
            repeats, lambda: _ours(our, web, next(names), rng)[0], lambda: _bare(servers, web, batches)
        )
    facts = (
        f"{TASKS} tasks with predictions in {len(batches)} requests: {median(ours):.2f} s, "
        f"bare {median(bare):.2f} s ({TASKS / median(bare):.0f} tasks/s)"
    )
    return [Measured(PUSH, ratios(ours, bare), facts)]


def _ours(our: House, web: httpx.Client, name: str, rng: np.random.Generator) -> tuple[float, Batches]:
    """Seconds of one push into a project that has a task already, and what it sent."""
    spec = _spec(name)
    first, *others = texts(TASKS + 1, rng)
    _submit(our, spec, [first])
    gateway = Noting(our.settings.label_studio_url, our.settings.label_studio_token)
    project = ensure_project(our.database, gateway, spec, our.settings).project
    try:
        # The first push of a loop also writes the project's texts and its tab.
        push(our.database, gateway, spec, our.settings)
        gateway.batches.clear()
        _submit(our, spec, others)
        began = time.perf_counter()
        report = push(our.database, gateway, spec, our.settings)
        seconds = time.perf_counter() - began
    finally:
        our.servers.remove_project(web, project.id)
        gateway.close()
    if report.pushed != TASKS:
        raise Failed(f"{report.pushed} of {TASKS} tasks were pushed")
    return seconds, gateway.batches


def _submit(our: House, spec: LoopSpec, items: Sequence[Output]) -> None:
    with our.database.transaction() as conn:
        submit(conn, spec, items)


def _bare(servers: Servers, web: httpx.Client, batches: Batches) -> float:
    spec = _spec("bare")
    project = web.post("/api/projects/", json={"title": "bare import", "label_config": spec.labels_xml})
    project_id = project.raise_for_status().json()["id"]
    try:
        began = time.perf_counter()
        for batch in batches:
            web.post(
                f"/api/projects/{project_id}/import", params={"return_task_ids": "true"}, json=batch
            ).raise_for_status()
        return time.perf_counter() - began
    finally:
        servers.remove_project(web, project_id)


def _spec(name: str) -> LoopSpec:
    """Everything waits, and all of it fits into the window."""
    return texts_spec(name, trigger="model_confidence <= 1", queue={"window": TASKS + 1})
