"""Label Studio's list of tasks: its filters, and pages of it that stay complete while tasks are deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labelloop.errors import Unreachable
from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import FAULT, Unexpected
from labelloop.labelstudio.connection import NOT_DEFINITE, Calls
from labelloop.labelstudio.faults import around_faults, has_failed
from labelloop.queue.tasks import Task
from labelloop.reading.ids import ProjectId, TaskId

PAGE = 500
"""Tasks on one page."""
BEFORE_ALL = TaskId(0)
"""An id below that of every task."""
TASK = "id,data,updated_at,total_annotations,cancelled_annotations,annotations_ids"


class Listing(Calls):
    """Reads the list of tasks of a project. A task at which Label Studio fails hides no other."""

    def remember_faults(self, project_id: ProjectId, ids: Collection[TaskId]) -> None:
        """Take these tasks as faulty, so that nobody has to search for them after a restart."""
        self._connection.faulty.setdefault(project_id, set()).update(ids)

    def _tasks(self, project_id: ProjectId, filters: list[dict[str, Any]], include: str) -> Iterator[Task]:
        last = BEFORE_ALL
        while True:
            page = self._page(project_id, filters, include, last)
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1].id

    def _page(self, project_id: ProjectId, filters: list[dict[str, Any]], include: str, after_id: TaskId) -> list[Task]:
        """Return a page of tasks. One at which Label Studio fails comes without annotations, or with its id only."""
        with self._clear("a page of tasks"):
            items = self._items(project_id, include, after_id, filters)
            failed = {answers.task_id(item): item for item in items if FAULT in item}
            if failed and include != TASK:  # one number that JSON cannot hold, such as the lead time 1e999, is enough
                few = [condition("id", "in_list", list(failed), "Number")]
                bare = {answers.task_id(item): item for item in self._items(project_id, TASK, BEFORE_ALL, few)}
                items = [{**bare.get(item["id"], {}), **item} if FAULT in item else item for item in items]
            return list(map(answers.task, items))

    def _items(
        self,
        project_id: ProjectId,
        include: str,
        after_id: TaskId = BEFORE_ALL,
        filters: Sequence[dict[str, Any]] = (),
        size: int = PAGE,
        *,
        few_fields: bool = False,
    ) -> list[Any]:
        """Return one page of tasks with these fields as Label Studio sends them, by id above `after_id`.

        A task at which Label Studio fails has only its id, and the reason as FAULT. `few_fields`: Label Studio reads
        none that only some views have, which costs it less.
        """
        params = {"project": project_id, "include": include, "resolve_uri": "false"}
        if not few_fields:
            params["fields"] = "all"

        def read(after: int, n: int, up_to: int | None = None, without: Collection[TaskId] = ()) -> list[Any]:
            more = [] if up_to is None else [condition("id", "less_or_equal", up_to, "Number")]
            if without:
                more.append(condition("id", "not_in_list", list(without), "Number"))
            query = where([*filters, condition("id", "greater", after, "Number"), *more])
            with self._clear("a page of tasks"):
                answer = answers.mapping(self._get_tasks({**params, "page_size": n}, query), "tasks")
                page = answers.items(answer.get("tasks"), "tasks")
                ids = [answers.task_id(answers.mapping(item, "task")) for item in page]
                if ids != sorted(set(ids)) or (ids and ids[0] <= after):
                    raise Unexpected(f"tasks out of order after task {after}")
            return page

        try:
            return read(after_id, size)
        except Unreachable as exc:
            if not has_failed(exc):
                raise
        return around_faults(read, after_id, size, self._connection.faulty.setdefault(project_id, set()))

    def _get_tasks(self, params: dict[str, Any], query: dict[str, Any]) -> Any:
        """Send a request for tasks; once more after any error that may pass, except for a 500."""
        try:
            return self._request("GET", "api/tasks/", params, body=query, once=True)
        except Exception as exc:
            status = getattr(exc, "status_code", None)
            if status is not None and 400 <= status <= 500 and status not in NOT_DEFINITE:
                raise
        return self._request("GET", "api/tasks/", params, body=query)

    def _fields(
        self, project_id: ProjectId, ids: Collection[TaskId], include: str, *, few_fields: bool = False
    ) -> Iterator[Mapping[str, Any]]:
        """Yield these fields of each of the tasks that exists; id and FAULT of one at which Label Studio fails."""
        wanted = sorted(ids)
        for start in range(0, len(wanted), PAGE):
            few = [condition("id", "in_list", wanted[start : start + PAGE], "Number")]
            yield from self._items(project_id, include, filters=few, few_fields=few_fields)


def condition(field: str, operator: str, value: object, type_: str) -> dict[str, object]:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": type_, "value": value}


def where(filters: list[dict[str, Any]]) -> dict[str, Any]:
    return {"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]}


def time_text(when: datetime) -> str:
    """Write a time as the filters want it: Label Studio answers 500 to a time without a fraction."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
