"""Pull: annotated tasks to stored annotations, feedback and answers, against reading the very same pages alone."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any
from uuid import uuid4

import httpx
import numpy as np

from benchmarks.support.goals import PULL, Measured
from benchmarks.support.items import submit, texts, texts_spec
from benchmarks.support.rooms import House, Servers, house, quiet
from benchmarks.support.turns import in_turn, ratios
from labelloop.errors import Failed
from labelloop.labeling import results
from labelloop.labelstudio.gateway import Gateway
from labelloop.labelstudio.listing import PAGE
from labelloop.queue.tasks import TaskDraft
from labelloop.reading.ids import ProjectId, TaskId
from labelloop.spec.loop import LoopSpec
from sync.pull.pull import pull
from sync.push.push import push

INCLUDE = (
    "id,data,updated_at,total_annotations,cancelled_annotations,annotations,result,completed_by,updated_by,"
    "was_cancelled,ground_truth,lead_time,parent_prediction,created_at"
)


@dataclass(frozen=True, slots=True)
class Answered(TaskDraft):
    """A task that comes into Label Studio with its annotation: every third label is corrected."""

    annotation: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        said = {"result": self.annotation, "ground_truth": False, "lead_time": 2.0}
        return {**TaskDraft.to_json(self), "annotations": [said]}


class Answering(Gateway):
    """A gateway whose tasks are answered at once, since thousands of clicks would take minutes."""

    spec: LoopSpec

    def import_tasks(self, project_id: ProjectId, drafts: Sequence[TaskDraft]) -> list[TaskId]:
        return super().import_tasks(project_id, [self._answered(i, draft) for i, draft in enumerate(drafts)])

    def _answered(self, position: int, draft: TaskDraft) -> Answered:
        said = draft.data["labelloop_label"]
        label = said if position % 3 else next(label for label in self.spec.labels if label != said)
        regions = [{**region, "id": uuid4().hex[:10]} for region in results.encode(self.spec.config, label, said)]
        return Answered(draft.output_id, draft.data, draft.result, draft.priority, draft.version, regions)


def measure(servers: Servers, *, quick: bool) -> list[Measured]:
    n, repeats = (600, 1) if quick else (10_000, 3)
    spec = texts_spec("pull", trigger="model_confidence <= 1", queue={"window": n}, retrain={"after": 10**9})
    with house(servers) as connected, servers.http() as web:
        our = quiet(connected)
        with our.database.transaction() as conn:
            submit(conn, spec, texts(n, np.random.default_rng(0)))
        gateway = Answering(our.settings.label_studio_url, our.settings.label_studio_token)
        gateway.spec = spec
        push(our.database, gateway, spec, our.settings)
        project_id = our.project_id(spec.name)
        try:
            ours, bare = in_turn(repeats, lambda: _ours(our, gateway, spec, n), lambda: _bare(web, project_id, n))
        finally:
            our.remove_projects(web)
            gateway.close()
    facts = (
        f"{n} tasks of one annotation each in pages of {PAGE}: {median(ours):.2f} s, "
        f"bare {median(bare):.2f} s ({n / median(bare):.0f} tasks/s)"
    )
    return [Measured(PULL, ratios(ours, bare), facts)]


def _ours(our: House, gateway: Gateway, spec: LoopSpec, n: int) -> float:
    """Seconds of a pull that has seen nothing yet."""
    with our.database.transaction() as conn:
        conn.execute("truncate annotation_versions, feedback, answers cascade")
        conn.execute("update outputs set state = 'in_review' where state = 'answered'")
        conn.execute("update projects set bookmark = null")
    began = time.perf_counter()
    report = pull(our.database, gateway, spec)
    seconds = time.perf_counter() - began
    if report.answers != n:
        raise Failed(f"{report.answers} of {n} answers came back")
    return seconds


def _bare(web: httpx.Client, project_id: ProjectId, n: int) -> float:
    """Seconds of reading everything that changed, page by page by the last id, parsed as JSON and dropped."""
    began = time.perf_counter()
    last = found = 0
    while True:
        items = [{"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": last}]
        query = {"filters": {"conjunction": "and", "items": items}, "ordering": ["tasks:id"]}
        params: dict[str, str | int] = {
            "project": project_id, "fields": "all", "include": INCLUDE, "page_size": PAGE, "resolve_uri": "false",
            "query": json.dumps(query),
        }  # fmt: skip
        page = web.get("/api/tasks/", params=params).raise_for_status().json()["tasks"]
        found += sum(len(task["annotations"]) for task in page)
        if len(page) < PAGE:
            break
        last = page[-1]["id"]
    seconds = time.perf_counter() - began
    if found != n:
        raise Failed(f"{found} of {n} annotations were read")
    return seconds
