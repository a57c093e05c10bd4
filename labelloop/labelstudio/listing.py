"""Label Studio's list of tasks: its filters, and pages of it that stay complete while tasks are deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import Unexpected
from labelloop.labelstudio.connection import Calls
from labelloop.queue.tasks import Task
from labelloop.reading.ids import ProjectId, TaskId

PAGE = 500
"""Tasks on one page."""
BEFORE_ALL = TaskId(0)
"""An id below that of every task."""


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
        with self._clear("a page of tasks"):
            return [answers.task(item) for item in self._items(project_id, include, after_id, filters)]

    def _items(
        self,
        project_id: ProjectId,
        include: str,
        after_id: TaskId,
        filters: Sequence[dict[str, Any]] = (),
        size: int = PAGE,
    ) -> list[Any]:
        """Return one page of tasks with these fields as Label Studio sends them, by id above `after_id`."""
        params = {
            "project": project_id,
            "fields": "all",
            "include": include,
            "page_size": size,
            "resolve_uri": "false",
        }
        query = where([*filters, condition("id", "greater", after_id, "Number")])
        answer = answers.mapping(self._request("GET", "api/tasks/", params, body=query), "tasks")
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


def condition(field: str, operator: str, value: object, type_: str) -> dict[str, object]:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": type_, "value": value}


def where(filters: list[dict[str, Any]]) -> dict[str, Any]:
    return {"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]}


def time_text(when: datetime) -> str:
    """Write a time as the filters want it: Label Studio answers 500 to a time without a fraction."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
