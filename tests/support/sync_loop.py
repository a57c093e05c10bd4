"""A loop on the real Postgres and the real Label Studio, for the tests of sync.

Its project is not deleted. While Label Studio deletes a project, it does not count the annotations that other people
make. If it deletes two at once, its counts stay wrong until a restart. A test that deletes one is marked `alone`.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx

from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import Output
from labelloop.process.settings import Settings
from labelloop.queue import lanes
from labelloop.queue.project import LoopProject
from labelloop.reading.ids import AnnotationId, ProjectId, TaskId
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops, outputs, projects
from sync.project.project import ensure_project
from sync.pull.pull import pull
from sync.pull.take_in import PullReport
from sync.push.batches import PushReport
from sync.push.push import push

XML = """<View><Text name="text" value="$text"/><Choices name="label" toName="text" choice="single-radio">
<Choice value="cat"/><Choice value="dog"/><Choice value="eel"/></Choices></View>"""
YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [cat, dog, eel]
  holdout: 0.0
  audit: 0.0
  queue: {strategy: least_confidence, window: 50, audit: 0.0, holdout: 0.0}
"""
Row = dict[str, Any]


@dataclass
class SyncLoop:
    database: Database
    gateway: Gateway
    settings: Settings
    spec: LoopSpec
    web: httpx.Client
    """The administrator, at Label Studio itself."""

    # -- ours --------------------------------------------------------------------------------------------------------

    def submit(self, n: int, *, confidences: Sequence[float] | None = None, **fields: Any) -> list[str]:
        """Submit `n` outputs, by default with confidences that fall from 0.7; return their keys."""
        confidences = confidences or [0.7 - 0.4 * i / n for i in range(n)]
        made = [self.output(confidence, **fields) for confidence in confidences]
        with self.database.transaction() as conn:
            outputs.insert(conn, self.spec.name, [outputs.Row.of(one, lanes.place(one, self.spec)) for one in made])
            jobs.ask(conn, jobs.PUSH, self.spec.name)
        return [one.key for one in made]

    @staticmethod
    def output(confidence: float, **fields: Any) -> Output:
        key = uuid.uuid4().hex
        rest = 1 - confidence
        shares = {"cat": confidence, "dog": rest * 0.6, "eel": rest * 0.4}
        return Output(**{"key": key, "data": {"text": f"item {key}"}, "probabilities": shares, **fields})

    def push(
        self, gateway: Gateway | None = None, *, check: bool = True, at_least: int = 1, **changes: Any
    ) -> PushReport:
        settings = replace(self.settings, **changes)
        return push(self.database, gateway or self.gateway, self.spec, settings, check=check, at_least=at_least)

    def connect(self) -> None:
        """Compare the project with the loop's spec, as the worker does now and then."""
        ensure_project(self.database, self.gateway, self.spec, self.settings)

    def pull(self, **how: Any) -> PullReport:
        return pull(self.database, self.gateway, self.spec, **how)

    def sql(self, statement: str, **values: Any) -> list[Row]:
        with self.database.transaction() as conn:
            return conn.execute(statement, values).fetchall()

    def do(self, statements: str) -> None:
        with self.database.transaction() as conn:
            conn.execute(statements)

    def states(self) -> Counter[str]:
        return Counter(row["state"] for row in self.sql("select state::text from outputs"))

    @property
    def project(self) -> LoopProject:
        with self.database.transaction() as conn:
            row = projects.get(conn, self.spec.name)
        assert row is not None
        return row

    @property
    def project_id(self) -> ProjectId:
        return self.project.id

    # -- Label Studio's, over plain HTTP -------------------------------------------------------------------------------

    def tasks(self) -> list[Row]:
        """Every task with its predictions and annotations. Label Studio takes 20 ms a task for it."""
        return self._listed()

    def tasks_an_output(self) -> list[int]:
        """Number of tasks of each output that has any."""
        return list(Counter(task["data"]["labelloop_output"] for task in self.tasks()).values())

    def task_of(self, key: str) -> Row:
        same = {"filter": "filter:tasks:data.labelloop_key", "operator": "equal", "type": "String", "value": key}
        return self._listed(query=json.dumps({"filters": {"conjunction": "and", "items": [same]}}))[0]

    def _listed(self, **only: str) -> list[Row]:
        params: dict[str, Any] = {"project": self.project_id, "fields": "all", "page_size": 10_000, **only}
        return list(self.web.get("/api/tasks/", params=params).raise_for_status().json()["tasks"])

    def annotate(
        self, task_id: TaskId, label: str, *, web: httpx.Client | None = None, skip: bool = False
    ) -> AnnotationId:
        body = {"result": region(label), "was_cancelled": skip, "lead_time": 1.5}
        answer = (web or self.web).post(f"/api/tasks/{task_id}/annotations/?project={self.project_id}", json=body)
        return AnnotationId(answer.raise_for_status().json()["id"])

    def edit(self, annotation_id: AnnotationId, label: str, *, web: httpx.Client | None = None) -> None:
        (web or self.web).patch(f"/api/annotations/{annotation_id}/", json={"result": region(label)}).raise_for_status()

    def next_task(self, web: httpx.Client | None = None) -> Row | None:
        """As the button Label All Tasks asks for it."""
        answer = (web or self.web).post(
            f"/api/dm/actions/?id=next_task&project={self.project_id}", json={"project": self.project_id}
        )
        return None if answer.status_code == 404 else answer.raise_for_status().json()


class Recorder(Gateway):
    """Keeps what projects were changed to."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, token)
        self.updates: list[dict[str, object]] = []

    def update_project(self, project_id: ProjectId, **fields: Any) -> Any:
        self.updates.append(fields)
        return super().update_project(project_id, **fields)


def change(loop: SyncLoop, **spec: Any) -> None:
    """Change the loop's spec, as after a change of loop.yaml."""
    loop.spec = loop.spec.model_copy(update=spec)
    with loop.database.transaction() as conn:
        loops.register(conn, loop.spec)


def region(label: str) -> list[Row]:
    return [{"id": "r1", "from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}]


@contextmanager
def sync_loop(
    database: Database, url: str, token: str, *, through: str | None = None, of: LoopSpec | None = None, **spec: Any
) -> Iterator[SyncLoop]:
    """`through`: the address at which ours see Label Studio, where that is a proxy. `of`: another loop than that of
    pets. `spec`: changes of the loop.
    """
    changed = (of or parse("pets", YAML, XML)).model_copy(update=spec)
    settings = Settings(
        database_url=database.url, label_studio_url=through or url, label_studio_token=token, push_grace_s=1.0
    )
    with database.transaction() as conn:
        loops.register(conn, changed)
    gateway = Gateway(settings.label_studio_url, token)
    headers = {"Authorization": f"Token {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as web:
        loop = SyncLoop(database, gateway, settings, changed, web)
        try:
            yield loop
        finally:
            gateway.close()


def wait_until(true: Callable[[], object], seconds: float = 90.0, what: str = "it") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds:g} s"
        time.sleep(0.1)
