"""Pull: annotated tasks to stored annotations, feedback and answers, against reading the very same pages alone.

Also: a sync worker starts after people worked without it, with all those answers waiting in Label Studio.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import yaml

from benchmarks.support.goals import CATCHES_UP, PULL, Measured
from benchmarks.support.items import LABELS, submit, texts
from benchmarks.support.rooms import House, Servers, house, quiet, wait_until
from benchmarks.support.turns import in_turn, ratios
from labelloop.errors import Failed
from labelloop.labeling import results
from labelloop.labelstudio.gateway import Gateway
from labelloop.labelstudio.listing import PAGE
from labelloop.queue.tasks import TaskDraft
from labelloop.reading.ids import ProjectId, TaskId
from labelloop.spec.folder import load
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
    with house(servers) as connected, servers.http() as web:
        our, spec = _with_loop(quiet(connected), n)
        with our.database.transaction() as conn:
            submit(conn, spec, texts(n, np.random.default_rng(0)))
        gateway = Answering(our.settings.label_studio_url, our.settings.label_studio_token)
        gateway.spec = spec
        push(our.database, gateway, spec, our.settings)
        project_id = our.project_id(spec.name)
        try:
            ours, bare = in_turn(repeats, lambda: _ours(our, gateway, spec, n), lambda: _bare(web, project_id, n))
            late = [_catches_up(our, n) for _ in range(repeats)]
        finally:
            our.remove_projects(web)
            gateway.close()
    facts = (
        f"{n} tasks of one annotation each in pages of {PAGE}: {median(ours):.2f} s, "
        f"bare {median(bare):.2f} s ({n / median(bare):.0f} tasks/s)"
    )
    after = f"{n} answers waited in Label Studio when the sync worker started: all stored {median(late):.1f} s later"
    return [Measured(PULL, ratios(ours, bare), facts), Measured(CATCHES_UP, late, after)]


def _with_loop(our: House, window: int) -> tuple[House, LoopSpec]:
    """The same house with one loop, `pull`, that shows everything to people at once."""
    folder: Path = our.settings.data_dir / "loops" / "pull"
    folder.mkdir(parents=True)
    loop = {
        "trigger": "model_confidence <= 1",
        "show": {"text": "$text"},
        "labels": list(LABELS),
        "queue": {"window": window},
        "retrain": {"after": 10**9},
    }
    (folder / "loop.yaml").write_text(yaml.safe_dump({"feedback_loop": loop}))
    return replace(our, settings=replace(our.settings, loops_dir=folder.parent)), load(folder)


def _ours(our: House, gateway: Gateway, spec: LoopSpec, n: int) -> float:
    """Seconds of a pull that has seen nothing yet."""
    _forget_answers(our)
    began = time.perf_counter()
    report = pull(our.database, gateway, spec)
    seconds = time.perf_counter() - began
    if report.answers != n:
        raise Failed(f"{report.answers} of {n} answers came back")
    return seconds


def _forget_answers(our: House) -> None:
    with our.database.transaction() as conn:
        conn.execute("truncate annotation_versions, feedback, answers cascade")
        conn.execute("update outputs set state = 'in_review' where state = 'answered'")
        conn.execute("update projects set bookmark = null")


def _catches_up(our: House, n: int) -> float:
    """Seconds from the start of the sync worker's process until every answer is stored."""
    _forget_answers(our)
    began = time.perf_counter()
    with our.working("sync.worker"):
        wait_until(lambda: _stored(our) == n, 300, "the last answer")
        return time.perf_counter() - began


def _stored(our: House) -> int:
    with our.database.transaction() as conn:
        row = conn.execute("select count(*) as n from answers").fetchone()
    return 0 if row is None else int(row["n"])


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
