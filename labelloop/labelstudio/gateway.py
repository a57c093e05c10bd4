"""Gateway: every call that labelloop makes to Label Studio, over label-studio-sdk.

The SDK repeats a POST whose answer is lost, and Label Studio imports twice what is sent twice; so nothing but a GET is
ever repeated here, and an answer that is lost is said to be Ambiguous.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx

from labelloop.errors import Ambiguous, Refused, SettingsError, Unreachable
from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import Project, Unexpected
from labelloop.tasks import BATCH, Task, TaskDraft

READ = httpx.Timeout(30, connect=3)
WRITE = httpx.Timeout(130, connect=3)
"""An import may take long: uWSGI in front of Label Studio gives up after 120 s."""
NOT_DEFINITE = frozenset({408, 409, 425, 429})
"""Refusals that say nothing about whether the request took effect."""
PAGE = 500
_TASK = "id,data,updated_at,total_annotations,cancelled_annotations"
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
        # LabelStudio without its exports, which load pandas and more: half of a second and 100 MB less.
        from label_studio_sdk.base_client import LabelStudioBase
        from label_studio_sdk.core.api_error import ApiError

        self.url = url.rstrip("/")
        self._api_error: type[Exception] = ApiError
        self._http = httpx.Client(timeout=READ, follow_redirects=False)
        try:
            sdk: Any = LabelStudioBase
            self._ls: Any = sdk(base_url=self.url, api_key=token, httpx_client=self._http)
        except ApiError as exc:
            raise SettingsError(f"LABELLOOP_LABEL_STUDIO_TOKEN cannot be used: {_words(exc.body)}") from exc

    def close(self) -> None:
        self._http.close()

    # -- the server and its people ---------------------------------------------------------------------------------

    def version(self) -> str:
        return answers.text(self._get("api/version"), "release")

    def whoami(self) -> int:
        """Label Studio's id of the token's owner."""
        return answers.whole(self._get("api/current-user/whoami"), "id")

    def users(self) -> dict[int, str]:
        """Id to address of everybody in the organisation."""
        with self._clear("the list of users"):
            return {int(user.id): str(user.email) for user in self._ls.users.list(request_options=_READ)}

    def invite_url(self) -> str:
        """Where a person signs up while sign-up is closed."""
        link = answers.text(self._get("api/invite"), "invite_url")
        return link if "://" in link else f"{self.url}/{link.lstrip('/')}"

    # -- projects --------------------------------------------------------------------------------------------------

    def create_project(self, **fields: Any) -> Project:
        return self._project("POST", "api/projects/", fields)

    def update_project(self, project_id: int, **fields: Any) -> Project:
        return self._project("PATCH", f"api/projects/{project_id}/", fields)

    def project(self, project_id: int) -> Project:
        """Raises Refused with status 404 where there is none."""
        return self._project("GET", f"api/projects/{project_id}/", None)

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

    def model_versions(self, project_id: int) -> dict[str, int]:
        """Number of predictions of each version."""
        answer = answers.mapping(self._get(f"api/projects/{project_id}/model-versions/"), "model versions")
        return {str(name): int(count) for name, count in answer.items() if isinstance(count, int)}

    def _project(self, method: str, path: str, body: Any) -> Project:
        with self._clear(f"{method} {path}"):
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

    def delete_task(self, task_id: int) -> None:
        with self._clear(f"the deletion of task {task_id}", write=True):
            self._ls.tasks.delete(str(task_id), request_options=_WRITE)

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

    def versions_of_tasks(self, project_id: int, ids: Collection[int]) -> dict[int, set[str]]:
        """Task to the versions of its predictions, for those of these tasks that are there."""
        params = {"project": project_id, "fields": "all", "include": "id,predictions_model_versions", "page_size": PAGE}
        wanted, found = sorted(ids), dict[int, set[str]]()
        for start in range(0, len(wanted), PAGE):
            query = _query([_filter("id", "in_list", wanted[start : start + PAGE], "Number")])
            with self._clear("the predictions of tasks"):
                answer = answers.mapping(self._request("GET", "api/tasks/", params, body=query), "tasks")
                for item in answers.items(answer.get("tasks"), "tasks"):
                    names = answers.text(item, "predictions_model_versions")
                    found[answers.whole(item, "id")] = {name.strip() for name in names.split(",") if name.strip()}
        return found

    # -- what a project is connected to ----------------------------------------------------------------------------

    def webhooks(self, project_id: int) -> list[Any]:
        with self._clear("the list of webhooks"):
            return list(self._ls.webhooks.list(project=project_id, request_options=_READ))

    def create_webhook(self, project_id: int, **fields: Any) -> None:
        with self._clear("the creation of the webhook", write=True):
            self._ls.webhooks.create(project=project_id, **fields, request_options=_WRITE)

    def delete_webhook(self, webhook_id: int) -> None:
        with self._clear("the deletion of a webhook", write=True):
            self._ls.webhooks.delete(webhook_id, request_options=_WRITE)

    def views(self, project_id: int) -> list[str]:
        """Titles of the project's tabs."""
        with self._clear("the list of tabs"):
            found = answers.items(self._request("GET", "api/dm/views/", {"project": project_id}), "views")
            return [answers.text(answers.mapping(view.get("data"), "data"), "title") for view in found]

    def create_view(self, project_id: int, data: dict[str, Any]) -> None:
        with self._clear("the creation of a tab", write=True):
            self._request("POST", "api/dm/views/", body={"project": project_id, "data": data})

    def ml_backends(self, project_id: int) -> list[Any]:
        with self._clear("the list of ML backends"):
            return list(self._ls.ml.list(project=project_id, request_options=_READ))

    def create_ml_backend(self, project_id: int, **fields: Any) -> None:
        with self._clear("the connection of the ML backend", write=True):
            self._ls.ml.create(project=project_id, **fields, request_options=_WRITE)

    # -- the one way out -------------------------------------------------------------------------------------------

    def _get(self, path: str, params: dict[str, Any] | None = None) -> Any:
        with self._clear(f"GET {path}"):
            return answers.mapping(self._request("GET", path, params), path)

    def _request(self, method: str, path: str, params: dict[str, Any] | None = None, *, body: Any = None) -> Any:
        """Through the SDK's own client, so that it keeps the token fresh. Only a GET may be repeated."""
        response = self._ls._client_wrapper.httpx_client.request(
            path,
            method=method,
            params=params,
            json=body,
            headers={"content-type": "application/json"},
            request_options=_READ if method == "GET" else _WRITE,
        )
        if not 200 <= response.status_code < 300:
            raise self._api_error(status_code=response.status_code, body=response.text)  # type: ignore[call-arg]
        try:
            return response.json()
        except ValueError as exc:
            raise Unexpected("the answer is not JSON") from exc

    @contextmanager
    def _clear(self, what: str, *, write: bool = False) -> Iterator[None]:
        """Translate every foreign error. Of a write nothing but a definite refusal, or no connection, is clear."""
        lost = Ambiguous if write else Unreachable
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as exc:
            raise Unreachable(f"Label Studio at {self.url} does not answer: {exc}") from exc
        except self._api_error as exc:
            status, words = getattr(exc, "status_code", None) or 500, _words(getattr(exc, "body", ""))
            if 400 <= status < 500 and status not in NOT_DEFINITE:
                raise Refused(f"Label Studio refuses {what} ({status}): {words}", status=status) from exc
            raise lost(f"Label Studio answered {status} to {what}: {words}") from exc
        except httpx.HTTPError as exc:
            raise lost(f"Label Studio's answer to {what} is lost: {type(exc).__name__} {exc}") from exc
        except (Unexpected, ValueError, TypeError, AttributeError) as exc:  # pydantic's errors are ValueErrors
            raise lost(f"Label Studio's answer to {what} cannot be read: {exc}") from exc


_READ = {"timeout_in_seconds": READ}
_WRITE = {"timeout_in_seconds": WRITE, "max_retries": 0}


def _filter(field: str, operator: str, value: object, type_: str) -> dict[str, object]:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": type_, "value": value}


def _query(filters: list[dict[str, Any]]) -> dict[str, Any]:
    return {"filters": {"conjunction": "and", "items": filters}, "ordering": ["tasks:id"]}


def _time(when: datetime) -> str:
    """Label Studio answers 500 to a time without a fraction."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _words(body: object) -> str:
    """What Label Studio says, short enough for a log line and a database column."""
    try:
        said = json.loads(body) if isinstance(body, str) else body
    except ValueError:
        said = body
    if isinstance(said, dict):
        said = said.get("validation_errors") or said.get("detail") or said
    # After the reason it repeats the whole task.
    return " ".join(re.sub(r" :: \{.*", "", _flat(said)).split())[:500]


def _flat(said: object) -> str:
    if isinstance(said, dict):
        return "; ".join(f"{name}: {text}" if name != "non_field_errors" else text for name, text in _parts(said))
    if isinstance(said, list):
        return "; ".join(text for item in said if (text := _flat(item)))
    return str(said)


def _parts(said: dict[str, object]) -> list[tuple[str, str]]:
    return [(name, text) for name, value in said.items() if (text := _flat(value))]
