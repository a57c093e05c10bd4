"""Predictions of Label Studio: import and change them, and read which versions a task has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from labelloop.labelstudio import answers
from labelloop.labelstudio.answers import Unexpected
from labelloop.labelstudio.listing import Listing
from labelloop.reading.ids import ProjectId, TaskId


class Predictions(Listing):
    """Calls about predictions."""

    def import_predictions(self, project_id: ProjectId, predictions: Sequence[dict[str, Any]]) -> None:
        """Add predictions `{"task", "result", "score", "model_version"}`. Raises Ambiguous unless all were made."""
        with self._clear(f"the import of {len(predictions)} predictions", write=True):
            answer = self._request("POST", f"api/projects/{project_id}/import/predictions", body=list(predictions))
            created = answers.mapping(answer, "import").get("created")
            if created != len(predictions):
                raise Unexpected(f"{created!r} of {len(predictions)} predictions were made")

    def change_predictions(
        self, project_id: ProjectId, task_id: TaskId, version: str, score: float, result: list[dict[str, Any]]
    ) -> None:
        """Change the task's predictions of `version`. They keep their ids, because a page that is open names one."""
        with self._clear(f"the predictions of task {task_id}"):
            found = answers.items(self._request("GET", "api/predictions/", {"task": task_id}), "predictions")
            mine = [item for item in found if answers.mapping(item, "prediction").get("model_version") == version]
        with self._clear(f"a change of the predictions of task {task_id}", write=True):
            for item in mine:
                path = f"api/predictions/{answers.whole(item, 'id')}/"
                self._request("PATCH", path, body={"project": project_id, "score": score, "result": result})

    def versions_of_tasks(self, project_id: ProjectId, ids: Collection[TaskId]) -> dict[TaskId, set[str]]:
        """Return the versions of each task's predictions, by task; tasks that do not exist are left out, and those
        at which Label Studio fails.
        """
        with self._clear("the predictions of tasks"):
            return {
                answers.task_id(item): {
                    name.strip() for name in answers.text(item, "predictions_model_versions").split(",") if name.strip()
                }
                for item in self._fields(project_id, ids, "id,predictions_model_versions")
                if answers.FAULT not in item
            }
