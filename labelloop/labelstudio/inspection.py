"""Inspection: more calls to Label Studio, for `labelloop doctor` and for repairs. They change nothing in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import httpx

from labelloop.errors import Unreachable
from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import Project, Unexpected
from labelloop.labelstudio.connection import words
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.tasks import OUTPUT
from labelloop.reading.ids import ProjectId, TaskId

MAX_TASKS = 10_000
"""The widest window that a spec allows."""
SAME_ORDER_SCORE = 1e-13
"""Order scores nearer to each other than this are equal; neighbours in the order are 1e-12 apart."""
UNKNOWN = "LABELLOOP_ASKS"
"""This is neither an event of a webhook nor a way of authentication, so a request with it creates nothing."""


@dataclass(frozen=True, slots=True)
class Served:
    """An open task as Label Studio ranks it."""

    task_id: TaskId
    score: float | None
    """Score of its prediction of the project's version: the average of several, None if it has none."""
    versions: tuple[str, ...]
    """The versions of its predictions, each once."""


class Inspection(Gateway):
    """A Gateway with more calls."""

    def __enter__(self) -> Inspection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def clock(self) -> tuple[float, float]:
        """Return the seconds by which Label Studio's clock is ahead of ours, and the largest error of that."""
        before, began = time.time(), time.monotonic()
        try:
            answer = httpx.get(f"{self.url}/health", timeout=10)
        except httpx.HTTPError as exc:
            raise Unreachable(f"Label Studio at {self.url} does not answer: {exc}") from exc
        took = time.monotonic() - began
        try:
            when = parsedate_to_datetime(answer.headers["date"]).timestamp()
        except (KeyError, ValueError) as exc:
            raise Unreachable(f"the answer of Label Studio at {self.url} has no Date") from exc
        # The header is rounded down to whole seconds.
        return when + 0.5 - (before + took / 2), 0.5 + took / 2

    def served(self, project: Project) -> list[Served]:
        """Return the open tasks in the order that Label Studio computes from the predictions of the project's version.

        A request for the next task would lock one for the token's owner, for 24 hours.
        """
        if not project.tasks:
            return []  # Label Studio answers 500 if it is to order no tasks by their scores
        params = {
            "project": project.id,
            "fields": "task_only",
            "include": "id,predictions_score,predictions_model_versions",
            "page_size": MAX_TASKS,
        }
        open_ = {"filter": "filter:tasks:is_labeled", "operator": "equal", "type": "Boolean", "value": "false"}
        # This filter excludes no task. It makes Label Studio compute the versions, which are not a column of the task;
        # computing all such fields would take seven times as long.
        any_version = {
            "filter": "filter:tasks:predictions_model_versions",
            "operator": "not_contains",
            "type": "List",
            "value": [],
        }
        body = {
            "filters": {"conjunction": "and", "items": [open_, any_version]},
            "ordering": ["tasks:predictions_score"],
        }
        with self._clear("the open tasks in their order"):
            answer = answers.mapping(self._request("GET", "api/tasks/", params, body=body), "tasks")
            return [_served(item) for item in answers.items(answer.get("tasks"), "tasks")]

    def database(self, project: Project) -> Literal["postgres", "sqlite"] | None:
        """Return the kind of Label Studio's database; None if its responses do not tell.

        Postgres evaluates a regular expression itself; for SQLite, Python does. To Postgres [[:xdigit:]] is a POSIX
        class, to Python it is some letters and a bracket. Without a task to match, only Postgres refuses a named group.
        """
        if not project.tasks:
            status, said = self._matching(project.id, "(?P<name>x)")
            return "sqlite" if status == 200 else "postgres" if "regular expression" in words(said) else None
        found = [self._matching(project.id, pattern)[1] for pattern in ("^[0-9a-f]", "^[[:xdigit:]]")]
        totals = [said.get("total") if isinstance(said, dict) else None for said in found]
        if not totals[0]:
            return None
        return {totals[0]: "postgres", 0: "sqlite"}.get(totals[1])  # type: ignore[return-value]

    def refuses_webhook(self, project_id: ProjectId, url: str) -> str | None:
        """Return why Label Studio would not call a webhook at this address; None if it would.

        The request has an event that does not exist: Label Studio checks the address, but creates no webhook.
        """
        body = {"url": url, "project": project_id, "actions": [UNKNOWN]}
        return self._refusal("api/webhooks/", body, self.delete_webhook)

    def refuses_ml_backend(self, project_id: ProjectId, url: str) -> str | None:
        """Do the same for an ML backend; Label Studio checks the two by different settings."""
        body = {"url": url, "project": project_id, "auth_method": UNKNOWN}
        return self._refusal("api/ml/", body, self.delete_ml_backend)

    def _refusal(self, path: str, body: dict[str, Any], undo: Callable[[int], None]) -> str | None:
        with self._clear(f"a check of what {path} accepts"):
            status, said = self._connection.attempt("POST", path, body=body)
            if status == 400 and isinstance(said, dict):
                faults = said.get("validation_errors")
                about = faults.get("url") if isinstance(faults, dict) else None
                return words({"detail": about}) if about else None
            if status >= 500 and "Can't resolve" not in words(said):
                raise Unexpected(f"{status}: {words(said)}")
            if status >= 400:
                return words(said)
            made = answers.whole(answers.mapping(said, path), "id")
        undo(made)  # never seen; a later Label Studio may be less strict
        return None

    def _matching(self, project_id: ProjectId, pattern: str) -> tuple[int, Any]:
        params = {"project": project_id, "fields": "task_only", "include": "id", "page_size": 1}
        match = {"filter": f"filter:tasks:data.{OUTPUT}", "operator": "regex", "type": "String", "value": pattern}
        body = {"filters": {"conjunction": "and", "items": [match]}, "ordering": ["tasks:id"]}
        with self._clear("a check of Label Studio's database"):
            return self._connection.attempt("GET", "api/tasks/", params, body=body)


def _served(value: object) -> Served:
    fields = answers.mapping(value, "task")
    score = fields.get("predictions_score")
    if score is not None and not answers.is_number(score):
        raise Unexpected(f"predictions_score is {score!r}, not a number")
    names = answers.text(fields, "predictions_model_versions")
    return Served(answers.task_id(fields), score, tuple(n.strip() for n in names.split(",") if n.strip()))
