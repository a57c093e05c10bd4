"""Gateway: every call that labelloop makes to Label Studio, over label-studio-sdk.

The SDK repeats a POST whose answer is lost, and Label Studio imports twice what is sent twice; so nothing but a GET is
ever repeated here, and an answer that is lost is said to be Ambiguous.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labelloop.answers.people import Person, person
from labelloop.errors import Refused
from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import Project, Unexpected, View
from labelloop.labelstudio.connection import READ, WRITE, Connection
from labelloop.queue.tasks import BATCH, Task, TaskDraft

PAGE = 500
CHANGES = 2_000
_TASK = "id,data,updated_at,total_annotations,cancelled_annotations,annotations_ids"
# `include` also applies to the annotations inside a task, so it names the fields of both.
_ANNOTATIONS = (
    "annotations,result,completed_by,updated_by,was_cancelled,ground_truth,lead_time,parent_prediction,created_at"
)


class Gateway:
    """One Label Studio, seen by the owner of `token` (personal or legacy).

    Raises Unreachable when nothing has happened, Ambiguous when a write may have taken effect, Refused when Label
    Studio says no for good.
    """

    def __init__(self, url: str, token: str) -> None:
        self._connection = Connection(url, token)
        self.url = self._connection.url
        self._ls = self._connection.sdk
        self._request = self._connection.request
        self._clear = self._connection.clear

    def close(self) -> None:
        self._connection.close()

    # -- the server and its people ---------------------------------------------------------------------------------

    def version(self) -> str:
        return answers.text(self._get("api/version"), "release")

    def whoami(self) -> int:
        """Label Studio's id of the token's owner."""
        return answers.whole(self._get("api/current-user/whoami"), "id")

    def users(self) -> dict[int, Person]:
        """Id to address and name of everybody in the organisation."""
        with self._clear("the list of users"):
            return {
                int(user.id): person(int(user.id), str(user.email), user.first_name, user.last_name)
                for user in self._ls.users.list(request_options=READ)
            }

    def invite_url(self) -> str:
        """Where a person signs up while sign-up is closed."""
        link = answers.text(self._get("api/invite"), "invite_url")
        return link if "://" in link else f"{self.url}/{link.lstrip('/')}"

    def reset_invite(self) -> None:
        """Make a new sign-up link; the one before it opens nothing any more."""
        with self._clear("a new sign-up link"):
            self._ls.organizations.reset_token(request_options=WRITE)

    # -- projects --------------------------------------------------------------------------------------------------

    def create_project(self, **fields: Any) -> Project:
        return self._project("POST", "api/projects/", fields)

    def update_project(self, project_id: int, **fields: Any) -> Project:
        return self._project("PATCH", f"api/projects/{project_id}/", fields)

    def delete_project(self, project_id: int) -> None:
        """With its tasks and annotations. Raises Refused with status 404 where there is none."""
        with self._clear("the deletion of a project", write=True):
            self._ls.projects.delete(project_id, request_options=WRITE)

    def project(self, project_id: int) -> Project:
        """Raises Refused with status 404 where there is none."""
        path = f"api/projects/{project_id}/"
        with self._clear(f"GET {path}"):
            return answers.project(self._request("GET", path, {"include": answers.PROJECT_FIELDS}))

    def find_projects(self, marker: str) -> list[int]:
        """Ids of the projects whose description has `marker` in it, lowest first."""
        found, page = [], 1
        while True:
            params = {"page": page, "page_size": 200, "include": "id,description"}
            answer = answers.mapping(self._get("api/projects/", params), "projects")
            projects = answers.items(answer.get("results"), "results")
            found += [answers.whole(item, "id") for item in projects if marker in answers.text(item, "description")]
            if not answer.get("next"):
                return sorted(found)
            page += 1

    def _project(self, method: str, path: str, body: Any) -> Project:
        with self._clear(f"{method} {path}", write=method != "GET"):
            return answers.project(self._request(method, path, body=body))

    # -- tasks -----------------------------------------------------------------------------------------------------

    def import_tasks(self, project_id: int, drafts: Sequence[TaskDraft]) -> list[int]:
        """Make tasks, all or none; returns their ids in the order of `drafts`."""
        body = [draft.to_json() for draft in drafts]
        with self._clear(f"the import of {len(body)} tasks", write=True):
            answer = self._request("POST", f"api/projects/{project_id}/import", {"return_task_ids": "true"}, body=body)
            ids = answers.items(answers.mapping(answer, "import").get("task_ids"), "task_ids")
            if len(set(ids)) != len(drafts) or not all(map(answers.is_id, ids)):
                raise Unexpected(f"{len(ids)} task ids for {len(drafts)} tasks")
            return ids

    def tasks_of_batch(self, project_id: int, batch_id: object) -> list[Task]:
        return list(self._tasks(project_id, [_filter(f"data.{BATCH}", "equal", str(batch_id), "String")], _TASK))

    def changed_tasks(self, project_id: int, since: datetime | None, after_id: int = 0) -> list[Task]:
        """The next page of the tasks that changed after `since` (all: None), with annotations, by id above `after_id`.

        Fewer than PAGE: it was the last one. Never by page number: a task that is deleted meanwhile would hide another.
        """
        filters = [] if since is None else [_filter("updated_at", "greater", _time(since), "Datetime")]
        return self._page(project_id, filters, f"{_TASK},{_ANNOTATIONS}", after_id)

    def tasks(self, project_id: int, ids: Collection[int], *, annotations: bool = True) -> list[Task]:
        """Those of these tasks that are there."""
        wanted, include = sorted(ids), f"{_TASK},{_ANNOTATIONS}" if annotations else _TASK
        found: list[Task] = []
        for start in range(0, len(wanted), PAGE):
            few = [_filter("id", "in_list", wanted[start : start + PAGE], "Number")]
            found += self._page(project_id, few, include, 0)
        return found

    def all_tasks(self, project_id: int) -> Iterator[Task]:
        """Every task, without its annotations; complete unless it raises."""
        return self._tasks(project_id, [], _TASK)

    def changes(self, project_id: int, since: datetime) -> dict[int, datetime]:
        """Task to the time of its last change, of those that changed after `since`: at most CHANGES of them.

        A fifth of what the tasks themselves cost Label Studio.
        """
        query = _query([_filter("updated_at", "greater", _time(since), "Datetime")])
        params = {"project": project_id, "include": "id,updated_at", "page_size": CHANGES, "resolve_uri": "false"}
        with self._clear("the changes"):
            found = answers.tasks(self._request("GET", "api/tasks/", params, body=query))
            return {task.id: task.updated_at for task in found}

    def there(self, project_id: int, ids: Collection[int]) -> set[int]:
        """Those of these tasks that are there."""
        wanted, found = sorted(ids), set[int]()
        params = {"project": project_id, "include": "id", "page_size": PAGE, "resolve_uri": "false"}
        with self._clear("the tasks that are there"):
            for start in range(0, len(wanted), PAGE):
                query = _query([_filter("id", "in_list", wanted[start : start + PAGE], "Number")])
                answer = answers.mapping(self._request("GET", "api/tasks/", params, body=query), "tasks")
                found |= {answers.whole(item, "id") for item in answers.items(answer.get("tasks"), "tasks")}
        return found

    def newest_change(self, project_id: int) -> datetime | None:
        """When the task that changed last did, by Label Studio's clock; None in an empty project."""
        params = {"project": project_id, "fields": "all", "include": "id,updated_at", "page_size": 1}
        with self._clear("the newest change"):
            answer = self._request("GET", "api/tasks/", params, body={"ordering": ["-tasks:updated_at"]})
            newest = answers.tasks(answer)
            return newest[0].updated_at if newest else None

    def has_draft(self, project_id: int, task_id: int) -> bool:
        """Whether anybody has begun to answer the task."""
        params = {"project": project_id, "fields": "all", "include": "id,draft_exists"}
        query = _query([_filter("id", "equal", task_id, "Number")])
        with self._clear("the drafts of a task"):
            answer = answers.mapping(self._request("GET", "api/tasks/", params, body=query), "tasks")
            found = answers.items(answer.get("tasks"), "tasks")
            # Anything but a clear no is a yes: what hangs on it is a deletion.
            return any(item.get("draft_exists") is not False for item in found)

    def opinions(self, project_id: int, ids: Collection[int]) -> dict[int, tuple[int, int, bool]]:
        """Task to the opinions that it wants, those that it has, and whether Label Studio has done with it."""
        with self._clear("the opinions on tasks"):
            return {
                answers.whole(item, "id"): (
                    answers.whole(item, "overlap"),
                    answers.whole(item, "total_annotations"),
                    item.get("is_labeled") is not False,
                )
                for item in self._fields(project_id, ids, "id,overlap,total_annotations,is_labeled")
            }

    def reopen_task(self, task_id: int, overlap: int, *, done: bool = False) -> None:
        """Ask so many people about it, and serve it again unless it is `done`. Twice is once; a task that is gone stays
        gone.
        """
        try:
            with self._clear(f"the opening of task {task_id}", write=True):
                self._request("PATCH", f"api/tasks/{task_id}/", body={"overlap": overlap, "is_labeled": done})
        except Refused as exc:
            if exc.status != 404:
                raise

    def delete_task(self, task_id: int) -> None:
        """Twice is once, also where two do it at the same time."""
        try:
            with self._clear(f"the deletion of task {task_id}", write=True):
                self._ls.tasks.delete(str(task_id), request_options=WRITE)
        except Refused as exc:
            if exc.status != 404:
                raise

    def _tasks(self, project_id: int, filters: list[dict[str, Any]], include: str) -> Iterator[Task]:
        last = 0
        while True:
            page = self._page(project_id, filters, include, last)
            yield from page
            if len(page) < PAGE:
                return
            last = page[-1].id

    def _page(self, project_id: int, filters: list[dict[str, Any]], include: str, after_id: int) -> list[Task]:
        params = {
            "project": project_id,
            "fields": "all",
            "include": include,
            "page_size": PAGE,
            "resolve_uri": "false",
        }
        query = _query([*filters, _filter("id", "greater", after_id, "Number")])
        with self._clear("a page of tasks"):
            page = answers.tasks(self._request("GET", "api/tasks/", params, body=query))
            ids = [task.id for task in page]
            if ids != sorted(set(ids)) or (ids and ids[0] <= after_id):
                raise Unexpected(f"tasks out of order after task {after_id}")
            return page

    # -- predictions -----------------------------------------------------------------------------------------------

    def import_predictions(self, project_id: int, predictions: Sequence[dict[str, Any]]) -> None:
        """Add predictions `{"task", "result", "score", "model_version"}`. Ambiguous unless all of them were made."""
        with self._clear(f"the import of {len(predictions)} predictions", write=True):
            answer = self._request("POST", f"api/projects/{project_id}/import/predictions", body=list(predictions))
            created = answers.mapping(answer, "import").get("created")
            if created != len(predictions):
                raise Unexpected(f"{created!r} of {len(predictions)} predictions were made")

    def change_predictions(
        self, project_id: int, task_id: int, version: str, score: float, result: list[dict[str, Any]]
    ) -> None:
        """Those of `version` that the task has. They keep their ids: an open page names the one that it began with."""
        with self._clear(f"the predictions of task {task_id}"):
            found = answers.items(self._request("GET", "api/predictions/", {"task": task_id}), "predictions")
            mine = [item for item in found if answers.mapping(item, "prediction").get("model_version") == version]
        with self._clear(f"a change of the predictions of task {task_id}", write=True):
            for item in mine:
                path = f"api/predictions/{answers.whole(item, 'id')}/"
                self._request("PATCH", path, body={"project": project_id, "score": score, "result": result})

    def versions_of_tasks(self, project_id: int, ids: Collection[int]) -> dict[int, set[str]]:
        """Task to the versions of its predictions, for those of these tasks that are there."""
        with self._clear("the predictions of tasks"):
            return {
                answers.whole(item, "id"): {
                    name.strip() for name in answers.text(item, "predictions_model_versions").split(",") if name.strip()
                }
                for item in self._fields(project_id, ids, "id,predictions_model_versions")
            }

    def _fields(self, project_id: int, ids: Collection[int], include: str) -> Iterator[Mapping[str, Any]]:
        """These fields of those of these tasks that are there."""
        params = {"project": project_id, "fields": "all", "include": include, "page_size": PAGE}
        wanted = sorted(ids)
        for start in range(0, len(wanted), PAGE):
            query = _query([_filter("id", "in_list", wanted[start : start + PAGE], "Number")])
            answer = answers.mapping(self._request("GET", "api/tasks/", params, body=query), "tasks")
            for item in answers.items(answer.get("tasks"), "tasks"):
                yield answers.mapping(item, "task")

    # -- what a project is connected to ----------------------------------------------------------------------------

    def webhooks(self, project_id: int) -> list[Any]:
        with self._clear("the list of webhooks"):
            return list(self._ls.webhooks.list(project=project_id, request_options=READ))

    def create_webhook(self, project_id: int, **fields: Any) -> None:
        with self._clear("the creation of the webhook", write=True):
            self._ls.webhooks.create(project=project_id, **fields, request_options=WRITE)

    def delete_webhook(self, webhook_id: int) -> None:
        with self._clear("the deletion of a webhook", write=True):
            self._ls.webhooks.delete(webhook_id, request_options=WRITE)

    def views(self, project_id: int) -> list[View]:
        """The project's tabs, from left to right."""
        with self._clear("the list of tabs"):
            found = answers.items(self._request("GET", "api/dm/views/", {"project": project_id}), "views")
            return [answers.view(view) for view in found]

    def create_view(self, project_id: int, data: dict[str, Any]) -> None:
        with self._clear("the creation of a tab", write=True):
            self._request("POST", "api/dm/views/", body={"project": project_id, "data": data})

    def update_view(self, view_id: int, data: dict[str, Any]) -> None:
        """`data` is all of the tab: what is not in it is gone."""
        with self._clear(f"the change of tab {view_id}", write=True):
            self._request("PATCH", f"api/dm/views/{view_id}/", body={"data": data})

    def delete_view(self, view_id: int) -> None:
        with self._clear(f"the removal of tab {view_id}", write=True):
            self._ls.views.delete(str(view_id), request_options=WRITE)

    def ml_backends(self, project_id: int) -> list[Any]:
        with self._clear("the list of ML backends"):
            return list(self._ls.ml.list(project=project_id, request_options=READ))

    def create_ml_backend(self, project_id: int, **fields: Any) -> None:
        with self._clear("the connection of the ML backend", write=True):
            self._ls.ml.create(project=project_id, **fields, request_options=WRITE)

    def update_ml_backend(self, backend_id: int, **fields: Any) -> None:
        """Label Studio tries the connection with the new fields first. Raises Refused, status 400, if that fails."""
        with self._clear(f"the change of ML backend {backend_id}", write=True):
            self._ls.ml.update(backend_id, **fields, request_options=WRITE)

    def delete_ml_backend(self, backend_id: int) -> None:
        with self._clear(f"the removal of ML backend {backend_id}", write=True):
            self._ls.ml.delete(backend_id, request_options=WRITE)

    def _get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        with self._clear(f"GET {path}"):
            return answers.mapping(self._request("GET", path, params), path)


def _filter(field: str, operator: str, value: object, type_: str) -> dict[str, object]:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": type_, "value": value}


def _query(filters: list[dict[str, Any]]) -> dict[str, Any]:
    return {"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]}


def _time(when: datetime) -> str:
    """Label Studio answers 500 to a time without a fraction."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
