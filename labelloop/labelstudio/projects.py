"""Projects of Label Studio, and their tabs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import Project, View
from labelloop.labelstudio.connection import WRITE, Calls
from labelloop.reading.ids import ProjectId

SCHEMES = {"s3": "s3", "s3s": "s3", "gcs": "gs", "azure": "azure-blob", "azure_blob": "azure-blob"}
"""Scheme of the addresses that a storage resolves, by Label Studio's name of its type."""


class Projects(Calls):
    """Calls about projects and their tabs."""

    def create_project(self, **fields: Any) -> Project:
        return self._project("POST", "api/projects/", fields)

    def update_project(self, project_id: ProjectId, **fields: Any) -> Project:
        return self._project("PATCH", f"api/projects/{project_id}/", fields)

    def delete_project(self, project_id: ProjectId) -> None:
        """Delete a project with its tasks and annotations. Raises Refused with status 404 if there is none."""
        with self._clear("the deletion of a project", write=True):
            self._ls.projects.delete(project_id, request_options=WRITE)

    def project(self, project_id: ProjectId) -> Project:
        """Return the project. Raises Refused with status 404 if there is none."""
        path = f"api/projects/{project_id}/"
        with self._clear(f"GET {path}"):
            return answers.project(self._request("GET", path, {"include": answers.PROJECT_FIELDS}))

    def find_projects(self, marker: str) -> list[ProjectId]:
        """Return the ids of the projects whose description contains `marker`, lowest first."""
        found, page = [], 1
        while True:
            params = {"page": page, "page_size": 200, "include": "id,description"}
            answer = answers.mapping(self._get("api/projects/", params), "projects")
            projects = answers.items(answer.get("results"), "results")
            found += [
                ProjectId(answers.whole(item, "id")) for item in projects if marker in answers.text(item, "description")
            ]
            if not answer.get("next"):
                return sorted(found)
            page += 1

    def templates(self) -> Mapping[str, Any]:
        """Return the templates of forms that this Label Studio offers: a list of objects under "templates"."""
        return answers.mapping(self._get("api/templates"), "templates")

    def _project(self, method: str, path: str, body: Any) -> Project:
        with self._clear(f"{method} {path}", write=method != "GET"):
            return answers.project(self._request(method, path, body=body))

    def buckets(self, project_id: ProjectId) -> frozenset[str]:
        """Return what the project's import storages cover, as the beginnings of addresses: s3://scans, gs://b."""
        with self._clear("the list of storages"):
            found = answers.items(self._request("GET", "api/storages/", {"project": project_id}), "storages")
            covered = set()
            for storage in found:
                fields = answers.mapping(storage, "storage")
                scheme = SCHEMES.get(str(fields.get("type")))
                name = fields.get("bucket") or fields.get("container")
                if scheme and name:
                    covered.add(f"{scheme}://{name}")
            return frozenset(covered)

    def views(self, project_id: ProjectId) -> list[View]:
        """Return the project's tabs, from left to right."""
        with self._clear("the list of tabs"):
            found = answers.items(self._request("GET", "api/dm/views/", {"project": project_id}), "views")
            return [answers.view(view) for view in found]

    def create_view(self, project_id: ProjectId, data: dict[str, Any]) -> int:
        """Return the id of the new tab."""
        with self._clear("the creation of a tab", write=True):
            made = self._request("POST", "api/dm/views/", body={"project": project_id, "data": data})
            return answers.whole(answers.mapping(made, "view"), "id")

    def update_view(self, view_id: int, data: dict[str, Any]) -> None:
        """Replace the whole tab by `data`."""
        with self._clear(f"the change of tab {view_id}", write=True):
            self._request("PATCH", f"api/dm/views/{view_id}/", body={"data": data})

    def delete_view(self, view_id: int) -> None:
        with self._clear(f"the removal of tab {view_id}", write=True):
            self._ls.views.delete(str(view_id), request_options=WRITE)
