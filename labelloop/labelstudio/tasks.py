"""Tasks of Label Studio: import, read, reopen and delete them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from labelloop.errors import Ambiguous, Refused
from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import FAULT, Unexpected
from labelloop.labelstudio.connection import WRITE
from labelloop.labelstudio.faults import MOST_FAULTS
from labelloop.labelstudio.listing import BEFORE_ALL, PAGE, TASK, Listing, condition, time_text
from labelloop.queue.tasks import BATCH, OUTPUT, Task, TaskDraft
from labelloop.reading.ids import ProjectId, TaskId

CHANGES = 2_000
"""The most changes that one call returns."""
# `include` also applies to the annotations inside a task, so it names the fields of both.
ANNOTATIONS = (
    "annotations,result,completed_by,updated_by,was_cancelled,ground_truth,lead_time,parent_prediction,created_at"
)


class Tasks(Listing):
    """Calls about tasks and the annotations on them."""

    def import_tasks(self, project_id: ProjectId, drafts: Sequence[TaskDraft]) -> list[TaskId]:
        """Make all of these tasks or none. Returns their ids in the order of `drafts`."""
        body = [draft.to_json() for draft in drafts]
        with self._clear(f"the import of {len(body)} tasks", write=True):
            answer = self._request("POST", f"api/projects/{project_id}/import", {"return_task_ids": "true"}, body=body)
            ids = answers.items(answers.mapping(answer, "import").get("task_ids"), "task_ids")
            if len(set(ids)) != len(drafts) or not all(map(answers.is_id, ids)):
                raise Unexpected(f"{len(ids)} task ids for {len(drafts)} tasks")
            return [TaskId(id_) for id_ in ids]

    def tasks_of_batch(self, project_id: ProjectId, batch_id: object) -> list[Task]:
        return list(self._tasks(project_id, [condition(f"data.{BATCH}", "equal", str(batch_id), "String")], TASK))

    def tasks_of_output(self, project_id: ProjectId, output_id: object) -> list[TaskId]:
        """Return the ids of all tasks whose data names this output, signed or not."""
        found = self._tasks(project_id, [condition(f"data.{OUTPUT}", "equal", str(output_id), "String")], TASK)
        return [task.id for task in found]

    def changed_tasks(self, project_id: ProjectId, since: datetime | None, after_id: TaskId = BEFORE_ALL) -> list[Task]:
        """Return one page of the tasks that changed after `since`, with annotations, by id above `after_id`.

        `since`: None for all tasks. A page of fewer than PAGE tasks is the last one. Pages follow ids rather than page
        numbers, because a task that is deleted between two pages would hide another.
        """
        filters = [] if since is None else [condition("updated_at", "greater", time_text(since), "Datetime")]
        return self._page(project_id, filters, f"{TASK},{ANNOTATIONS}", after_id)

    def tasks(self, project_id: ProjectId, ids: Collection[TaskId], *, annotations: bool = True) -> list[Task]:
        """Return those of these tasks that exist."""
        wanted, include = sorted(ids), f"{TASK},{ANNOTATIONS}" if annotations else TASK
        found: list[Task] = []
        for start in range(0, len(wanted), PAGE):
            few = [condition("id", "in_list", wanted[start : start + PAGE], "Number")]
            found += self._page(project_id, few, include, BEFORE_ALL)
        return found

    def all_tasks(self, project_id: ProjectId) -> Iterator[Task]:
        """Yield every task, without its annotations. The list is complete unless this raises."""
        return self._tasks(project_id, [], TASK)

    def changes(self, project_id: ProjectId, since: datetime) -> dict[TaskId, datetime]:
        """Return the time of the last change of at most CHANGES tasks that changed after `since`, by task.

        This costs Label Studio a fifth of what the tasks themselves cost.
        """
        later = [condition("updated_at", "greater", time_text(since), "Datetime")]
        with self._clear("the changes"):
            return _changes(self._items(project_id, "id,updated_at", filters=later, size=CHANGES, few_fields=True))

    def changed_at(self, project_id: ProjectId, ids: Collection[TaskId]) -> dict[TaskId, datetime]:
        """Return the time of the last change of those of these tasks that exist, as cheaply as `changes`."""
        with self._clear("the changes"):
            return _changes(self._fields(project_id, ids, "id,updated_at"))

    def there(self, project_id: ProjectId, ids: Collection[TaskId]) -> set[TaskId]:
        """Return the ids of those of these tasks that exist."""
        with self._clear("the tasks that are there"):
            return {answers.task_id(item) for item in self._fields(project_id, ids, "id", few_fields=True)}

    def newest_change(self, project_id: ProjectId) -> datetime | None:
        """Return the time of the newest change of a task, by Label Studio's clock; None in an empty project."""
        params = {"project": project_id, "fields": "all", "include": "id,updated_at", "page_size": 1}
        with self._clear("the newest change"):
            for place in range(1, MOST_FAULTS + 2):
                try:
                    answer = self._get_tasks({**params, "page": place}, {"ordering": ["-tasks:updated_at"]})
                    newest = answers.tasks(answer)
                    return newest[0].updated_at if newest else None
                except Exception as exc:  # the newest task may be one at which Label Studio fails: ask for the next
                    status = getattr(exc, "status_code", None)
                    if place > 1 and status == 404:  # there is no other
                        return None
                    if status != 500 or place > MOST_FAULTS:
                        raise
        raise AssertionError

    def has_draft(self, project_id: ProjectId, task_id: TaskId) -> bool:
        """Whether anybody has begun to answer the task."""
        with self._clear("the drafts of a task"):
            # Anything but a clear no counts as a draft, because a task without one is deleted.
            found = self._fields(project_id, [task_id], "id,draft_exists")
            return any(item.get("draft_exists") is not False for item in found)

    def opinions(self, project_id: ProjectId, ids: Collection[TaskId]) -> dict[TaskId, tuple[int, int, bool]]:
        """Return by task: opinions wanted, opinions given, and whether Label Studio serves it no more.

        Tasks at which Label Studio fails are left out.
        """
        with self._clear("the opinions on tasks"):
            return {
                answers.task_id(item): (
                    answers.whole(item, "overlap"),
                    answers.whole(item, "total_annotations"),
                    item.get("is_labeled") is not False,
                )
                for item in self._fields(project_id, ids, "id,overlap,total_annotations,is_labeled")
                if FAULT not in item
            }

    def reopen_task(self, task_id: TaskId, overlap: int, *, done: bool = False) -> None:
        """Let `overlap` people answer the task, and serve it again unless it is `done`. Does nothing to a task that is
        gone.
        """
        with _unless_gone(), self._clear(f"the opening of task {task_id}", write=True):
            self._request("PATCH", f"api/tasks/{task_id}/", body={"overlap": overlap, "is_labeled": done})

    def set_data(self, task_id: TaskId, data: Mapping[str, Any]) -> None:
        """Replace the data of the task. Does nothing to a task that is gone."""
        with _unless_gone(), self._clear(f"the data of task {task_id}", write=True):
            self._request("PATCH", f"api/tasks/{task_id}/", body={"data": dict(data)})

    def task_ids(self, project_id: ProjectId) -> set[TaskId]:
        """Return the ids of all tasks. The set is complete unless this raises."""
        found, after_id = set[TaskId](), BEFORE_ALL
        with self._clear("the ids of the tasks"):
            while True:
                page = [answers.task_id(item) for item in self._items(project_id, "id", after_id, size=CHANGES)]
                found |= set(page)
                if len(page) < CHANGES:
                    return found
                after_id = page[-1]

    def delete_task(self, task_id: TaskId) -> None:
        """Delete the task. A second call changes nothing, even at the same time."""
        with _unless_gone():
            try:
                with self._clear(f"the deletion of task {task_id}", write=True):
                    self._ls.tasks.delete(str(task_id), request_options=WRITE)
            except Ambiguous:  # also what Label Studio makes of a task that another call deletes at this moment
                self._get(f"api/tasks/{task_id}/")
                raise


def _changes(items: Iterable[Mapping[str, Any]]) -> dict[TaskId, datetime]:
    """Return the time of the last change by task, without those at which Label Studio fails."""
    return {answers.task_id(item): answers.time(item, "updated_at") for item in items if FAULT not in item}


@contextmanager
def _unless_gone() -> Iterator[None]:
    """Take the refusal of a task that is gone as done."""
    try:
        yield
    except Refused as exc:
        if exc.status != 404:
            raise
