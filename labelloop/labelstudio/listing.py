"""Label Studio's list of tasks: its filters, and pages of it that stay complete while tasks are deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from labelloop.errors import Unreachable
from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import Unexpected
from labelloop.labelstudio.connection import Calls
from labelloop.queue.tasks import Task
from labelloop.reading.ids import ProjectId, TaskId

PAGE = 500
"""Tasks on one page."""
BEFORE_ALL = TaskId(0)
"""An id below that of every task."""
TASK = "id,data,updated_at,total_annotations,cancelled_annotations,annotations_ids"
MOST_FAULTS = 20
"""If Label Studio fails at more tasks of a page than this, the tasks are not the reason."""


class Listing(Calls):
    """Reads the list of tasks of a project."""

    def _tasks(self, project_id: ProjectId, filters: list[dict[str, Any]], include: str) -> Iterator[Task]:
        last = BEFORE_ALL
        while True:
            page = self._page(project_id, filters, include, last)
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1].id

    def _page(self, project_id: ProjectId, filters: list[dict[str, Any]], include: str, after_id: TaskId) -> list[Task]:
        try:
            with self._clear("a page of tasks"):
                return [answers.task(item) for item in self._items(project_id, include, after_id, filters)]
        except Unreachable as exc:
            if include == TASK or not _has_failed(exc):
                raise
        return self._parts(project_id, filters, include, after_id)

    def _parts(
        self, project_id: ProjectId, filters: list[dict[str, Any]], include: str, after_id: TaskId
    ) -> list[Task]:
        """Return a page at which Label Studio fails: read in ever smaller parts, down to the task that it fails at.

        One number that JSON cannot hold, such as the lead time 1e999, is enough. That task comes without annotations.
        """
        with self._clear("the ids of a page of tasks"):
            ids = [answers.task_id(item) for item in self._items(project_id, "id", after_id, filters)]
        parts, found, faults = [ids], dict[TaskId, Task](), 0
        while parts:
            part = parts.pop()
            few = [condition("id", "in_list", part, "Number")]
            try:
                with self._clear("some tasks of a page"):
                    items = self._items(project_id, include, BEFORE_ALL, few, once=True)
                    found |= {task.id: task for task in map(answers.task, items)}
            except Unreachable as exc:
                if not _has_failed(exc) or faults == MOST_FAULTS:
                    raise
                if len(part) > 1:
                    parts += [part[: len(part) // 2], part[len(part) // 2 :]]
                    continue
                faults += 1
                bare = self._page(project_id, few, TASK, BEFORE_ALL)
                found |= {task.id: replace(task, fault=str(exc)) for task in bare}
        if len(found) < len(ids):  # a short page would be taken for the last one
            raise Unreachable(f"{len(ids) - len(found)} tasks were deleted while their page was read")
        return [found[id_] for id_ in ids]

    def _items(
        self,
        project_id: ProjectId,
        include: str,
        after_id: TaskId,
        filters: Sequence[dict[str, Any]] = (),
        size: int = PAGE,
        once: bool = False,
    ) -> list[Any]:
        """Return one page of tasks with these fields as Label Studio sends them, by id above `after_id`.

        `once`: do not repeat the request if Label Studio fails.
        """
        params = {
            "project": project_id,
            "fields": "all",
            "include": include,
            "page_size": size,
            "resolve_uri": "false",
        }
        query = where([*filters, condition("id", "greater", after_id, "Number")])
        answer = answers.mapping(self._request("GET", "api/tasks/", params, body=query, once=once), "tasks")
        page = answers.items(answer.get("tasks"), "tasks")
        ids = [answers.task_id(answers.mapping(item, "task")) for item in page]
        if ids != sorted(set(ids)) or (ids and ids[0] <= after_id):
            raise Unexpected(f"tasks out of order after task {after_id}")
        return page

    def _fields(self, project_id: ProjectId, ids: Collection[TaskId], include: str) -> Iterator[Mapping[str, Any]]:
        """Yield these fields of each of the tasks that exists."""
        params = {"project": project_id, "fields": "all", "include": include, "page_size": PAGE}
        wanted = sorted(ids)
        for start in range(0, len(wanted), PAGE):
            query = where([condition("id", "in_list", wanted[start : start + PAGE], "Number")])
            answer = answers.mapping(self._request("GET", "api/tasks/", params, body=query), "tasks")
            for item in answers.items(answer.get("tasks"), "tasks"):
                yield answers.mapping(item, "task")


def _has_failed(exc: Unreachable) -> bool:
    """Whether Label Studio itself answered, with an error of its own."""
    return getattr(exc.__cause__, "status_code", None) == 500


def condition(field: str, operator: str, value: object, type_: str) -> dict[str, object]:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": type_, "value": value}


def where(filters: list[dict[str, Any]]) -> dict[str, Any]:
    return {"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]}


def time_text(when: datetime) -> str:
    """Write a time as the filters want it: Label Studio answers 500 to a time without a fraction."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
