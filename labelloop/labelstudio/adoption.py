"""Projects that people made: their settings, and their tasks as a whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from labelloop.answers.annotations import clean
from labelloop.labelstudio import answers
from labelloop.labelstudio.listing import BEFORE_ALL, TASK, Listing, condition
from labelloop.labelstudio.tasks import ANNOTATIONS
from labelloop.queue.adopted import FoundTask, Guess
from labelloop.reading.ids import ProjectId, TaskId

SETTINGS = (
    "title,description,expert_instruction,label_config,sampling,maximum_annotations,model_version,"
    "show_collab_predictions,show_overlap_first,annotator_evaluation_enabled,enable_empty_annotation,"
    "overlap_cohort_percentage,skip_queue"
)
"""Every setting of a project that labelloop may change, and those that decide whether it can be adopted."""
IDS = 2_000
"""Tasks on a page of ids."""
WHOLE = 500
"""Whole tasks on a page; each page is stored in a transaction."""
_WHOLE = f"{TASK},{ANNOTATIONS},predictions,model_version,score,draft_exists"


class Whole(Listing):
    """Calls that an adoption and a release need."""

    def settings(self, project_id: ProjectId) -> dict[str, Any]:
        """Return the project's SETTINGS as Label Studio has them, by its own names."""
        path = f"api/projects/{project_id}/"
        found = self._get(path, {"include": SETTINGS})
        return {name: clean(found[name]) for name in SETTINGS.split(",") if name in found}

    def task_changes(self, project_id: ProjectId) -> dict[TaskId, datetime]:
        """Return the time of the last change of every task, by id, lowest first.

        Tasks at which Label Studio fails are left out.
        """
        found, after_id = dict[TaskId, datetime](), BEFORE_ALL
        with self._clear("the ids of the tasks"):
            while True:
                page = self._items(project_id, "id,updated_at", after_id, size=IDS)
                found |= {
                    answers.task_id(item): answers.time(item, "updated_at")
                    for item in page
                    if answers.FAULT not in item
                }
                if len(page) < IDS:
                    return found
                after_id = answers.task_id(page[-1])

    def whole_tasks(self, project_id: ProjectId, ids: Collection[TaskId]) -> Iterator[list[FoundTask]]:
        """Yield pages of those of these tasks that exist, lowest id first, with annotations and predictions.

        Tasks at which Label Studio fails are left out.
        """
        wanted = sorted(ids)
        for start in range(0, len(wanted), WHOLE):
            few = [condition("id", "in_list", wanted[start : start + WHOLE], "Number")]
            with self._clear("a page of tasks"):
                items = self._items(project_id, _WHOLE, BEFORE_ALL, few)
                yield [_found(item) for item in items if answers.FAULT not in item]

    def static_versions(self, project_id: ProjectId) -> dict[str, int]:
        """Return the number of predictions that the project has, by model version."""
        path = f"api/projects/{project_id}/model-versions/"
        return {str(name): int(n) for name, n in self._get(path).items() if isinstance(n, int)}

    def delete_version(self, project_id: ProjectId, version: str) -> None:
        """Delete all predictions of this model version. A second call changes nothing.

        Label Studio deletes about a hundred a second. It empties the project's `model_version` if it was this one.
        """
        path = f"api/projects/{project_id}/model-versions/"
        with self._clear(f"the removal of the predictions of {version!r}", write=True):
            self._request("DELETE", path, body={"model_version": version})


def _found(value: object) -> FoundTask:
    fields = answers.mapping(value, "task")
    predictions = answers.items(fields.get("predictions", []), "predictions")
    return FoundTask(
        task=answers.task(fields),
        guesses=[_guess(answers.mapping(item, "prediction")) for item in predictions],
        is_begun=fields.get("draft_exists") is True,
    )


def _guess(fields: Mapping[str, Any]) -> Guess:
    score, result = fields.get("score"), clean(fields.get("result"))
    return Guess(
        id=answers.whole(fields, "id"),
        version=clean(answers.text(fields, "model_version")),
        score=float(score) if answers.is_number(score) else None,
        result=result if isinstance(result, list) else [],
    )
