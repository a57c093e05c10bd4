"""Label Studio over plain HTTP. Only reads: GET, and the trade of a personal token for a short one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from console.doctor.deep.places import CouldNotLookError

TIMEOUT = httpx.Timeout(120, connect=5)
LARGEST = 256 << 20
"""Bytes of the largest response that is read."""
PAGE_BYTES = 8 << 20
"""Size of a page of tasks that the number of tasks on it is fitted to."""
FIRST_PAGE, LARGEST_PAGE = 100, 500
RENEW_AFTER_S = 200.0
"""A token from a trade is valid for 300 s."""
FIELDS = (
    "id,data,annotations,result,completed_by,updated_by,was_cancelled,ground_truth,lead_time,created_at,updated_at,"
    "predictions,model_version"
)
"""Fields of a task, and of the annotations and predictions inside it."""
Json = dict[str, Any]


class Studio:
    """One Label Studio, with the rights of a token (personal or legacy)."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=TIMEOUT, follow_redirects=False)
        self._token = token
        self._personal = token.count(".") == 2
        self._header, self._since = f"Token {token}", 0.0

    def close(self) -> None:
        self._http.close()

    def project(self, project_id: int) -> Json:
        """Return the project. Raises CouldNotLookError."""
        return self._get(f"/api/projects/{project_id}/", {"include": "id,description"})

    def tasks(self, project_id: int) -> Iterator[list[Json]]:
        """Yield all tasks in pages, by rising id. A task that is deleted between two pages hides no other."""
        last, size = 0, FIRST_PAGE
        while True:
            params: dict[str, Any] = {"project": project_id, "fields": "all", "include": FIELDS, "page_size": size}
            above = {"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": last}
            query = {"filters": {"conjunction": "and", "items": [above]}, "ordering": ["tasks:id"]}
            page = self._get("/api/tasks/", {**params, "resolve_uri": "false"}, query).get("tasks")
            if not isinstance(page, list):
                raise CouldNotLookError(f"Label Studio's list of tasks cannot be read after task {last}")
            ids: list[int] = [task["id"] for task in page]
            if ids != sorted(set(ids)) or (ids and ids[0] <= last):
                raise CouldNotLookError(f"Label Studio's list of tasks is out of order after task {last}")
            if page:
                yield page
            if len(page) < size:
                return
            last = ids[-1]
            size = max(1, min(LARGEST_PAGE, size * PAGE_BYTES // max(self._read, PAGE_BYTES * size // LARGEST_PAGE)))

    def _get(self, path: str, params: Mapping[str, Any], body: Any = None) -> Json:
        self._renew()
        return self._answer("GET", path, params=params, json=body, headers={"Authorization": self._header})

    def _renew(self) -> None:
        if self._personal and time.monotonic() - self._since > RENEW_AFTER_S:
            answer = self._answer("POST", "/api/token/refresh/", json={"refresh": self._token})
            self._header, self._since = f"Bearer {answer.get('access')}", time.monotonic()

    def _answer(self, method: str, path: str, **how: Any) -> Json:
        raw, what = bytearray(), f"Label Studio's answer to {method} {path}"
        try:
            with self._http.stream(method, path, **how) as response:
                for part in response.iter_bytes():
                    raw += part
                    if len(raw) > LARGEST:
                        raise CouldNotLookError(f"{what} is larger than {LARGEST} bytes")
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise CouldNotLookError(f"{what} is missing: {type(exc).__name__} {exc}") from exc
        if response.status_code != 200:
            raise CouldNotLookError(f"Label Studio answers {response.status_code} to {method} {path}")
        self._read = len(raw)
        try:
            found = json.loads(raw)
        except (ValueError, RecursionError) as exc:
            raise CouldNotLookError(f"{what} is not JSON") from exc
        if not isinstance(found, dict):
            raise CouldNotLookError(f"{what} is no object")
        return found
