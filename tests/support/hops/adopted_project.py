"""A project as Label Studio and its people make it, without labelloop: for the tests of adoption."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner, Result

from console.cli import main
from labelloop.process.settings import Settings
from labelloop.store.database import Database
from tests.support.servers import LabelStudio
from tests.support.sync_loop import Row, region

FORM = """<View>
  <Header value="Which animal?"/>
  <Text name="text" value="$text"/>
  <Choices name="label" toName="text" choice="single-radio">
    <Choice value="cat"/><Choice value="dog"/><Choice value="eel"/>
  </Choices>
</View>"""
LABELS = ("cat", "dog", "eel")
COUNTED = {
    "task_number", "useful_annotation_number", "ground_truth_number", "total_annotations_number", "queue_done",
    "total_predictions_number", "num_tasks_with_annotations", "finished_task_number", "queue_total",
    "skipped_annotations_number",
}  # fmt: skip
"""Fields of a project that Label Studio counts."""


@dataclass
class TheirProject:
    """A project of Label Studio over plain HTTP, as the administrator sees it."""

    web: httpx.Client
    id: int

    def settings(self) -> Row:
        found: Row = self.web.get(f"/api/projects/{self.id}/").raise_for_status().json()
        return {name: value for name, value in found.items() if name not in COUNTED}

    def tasks(self) -> list[Row]:
        params: dict[str, Any] = {"project": self.id, "fields": "all", "page_size": 20_000}
        answer = self.web.get("/api/tasks/", params=params).raise_for_status().json()
        return sorted(answer["tasks"], key=lambda task: task["id"])

    def whole(self) -> Row:
        """Return all that a release gives back: settings, tasks with annotations and predictions, tabs and webhooks.

        The counts of a task are left out, and the lists that they count are in it. While Label Studio deletes any
        project, it counts nothing in the same process, so another test would change them.
        """
        of = {"project": self.id}
        return {
            "settings": self.settings(),
            "tasks": {
                task["id"]: {
                    **{name: task[name] for name in ("data", "overlap", "is_labeled")},
                    "annotations": by_id(task["annotations"]),
                    "predictions": by_id(task["predictions"]),
                }
                for task in self.tasks()
            },
            "tabs": by_id(self.web.get("/api/dm/views/", params=of).raise_for_status().json()),
            "webhooks": by_id(self.web.get("/api/webhooks/", params=of).raise_for_status().json()),
            "backends": by_id(self.web.get("/api/ml/", params=of).raise_for_status().json()),
        }

    def annotate(self, task: int, label: str, web: httpx.Client | None = None, **more: Any) -> int:
        body = {"result": region(label), "lead_time": 3.5, **more}
        answer = (web or self.web).post(f"/api/tasks/{task}/annotations/?project={self.id}", json=body)
        return int(answer.raise_for_status().json()["id"])

    def next_task(self, web: httpx.Client) -> Row | None:
        """As the button Label All Tasks asks for it."""
        answer = web.post(f"/api/dm/actions/?id=next_task&project={self.id}", json={"project": self.id})
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def add(self, tasks: Sequence[Row]) -> list[int]:
        answer = self.web.post(f"/api/projects/{self.id}/import", params={"return_task_ids": "true"}, json=list(tasks))
        return list(answer.raise_for_status().json()["task_ids"])


def by_id(several: Sequence[Row]) -> dict[int, Row]:
    """Return things by id, since Label Studio lists them in any order; without words like "2 minutes ago"."""
    return {one["id"]: {name: value for name, value in one.items() if not name.endswith("_ago")} for one in several}


def differences(now: Any, before: Any, path: str = "") -> list[str]:
    """Return a line for each place where the two differ, so that a failed test names it."""
    if not (isinstance(now, dict) and isinstance(before, dict)):
        return [] if now == before else [f"{path}: {before!r} -> {now!r}"]
    names = [*before, *(name for name in now if name not in before)]
    missing = object()
    return [
        line
        for name in names
        for line in differences(now.get(name, missing), before.get(name, missing), f"{path}/{name}")
    ]


def guess(label: str, score: float | None, version: str = "bert-1") -> Row:
    return {"model_version": version, "score": score, "result": region(label)}


def their_project(web: httpx.Client, **settings: Any) -> TheirProject:
    fields = {"title": "Animals", "label_config": FORM, "description": "Ask Ann about eels.", **settings}
    return TheirProject(web, web.post("/api/projects/", json=fields).raise_for_status().json()["id"])


@dataclass
class House:
    """A database and settings for the commands, and Label Studio over HTTP."""

    database: Database
    server: LabelStudio
    settings: Settings
    web: httpx.Client

    def run(self, *arguments: str, **environ: str) -> Result:
        """Run a command of labelloop in this process."""
        return CliRunner().invoke(main, arguments, env={**self.settings.to_env(), "LABELLOOP_BY": "test", **environ})

    def adopt(self, project: int, *more: str) -> Result:
        return self.run("adopt", "--project", str(project), *more)

    def sql(self, statement: str, **values: Any) -> list[Row]:
        with self.database.transaction() as conn:
            return conn.execute(statement, values).fetchall()

    def states(self) -> Counter[str]:
        return Counter(row["state"] for row in self.sql("select state::text from outputs"))

    def do(self, statements: str) -> None:
        with self.database.transaction() as conn:
            conn.execute(statements)

    def person(self, email: str) -> httpx.Client:
        token, _ = self.server.sign_up(email)
        return httpx.Client(base_url=self.server.url, headers={"Authorization": f"Token {token}"}, timeout=60)


@contextmanager
def house(database: Database, server: LabelStudio, folder: Path) -> Iterator[House]:
    settings = Settings(
        data_dir=folder / "data",
        loops_dir=folder / "loops",
        database_url=database.url,
        label_studio_url=server.url,
        label_studio_token=server.token,
        hook_secret="a-secret",
        push_grace_s=1.0,
    )
    settings.loops_dir.mkdir()
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=120) as web:
        yield House(database, server, settings, web)
