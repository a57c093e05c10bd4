"""Mend: find open tasks whose prediction in Label Studio was deleted or changed, so that the next push restores it.

`labelloop push` does this when a person runs it. The worker does not, because it reads every open task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labelloop.labelstudio.inspection import SAME_ORDER_SCORE, Inspection, Served
from labelloop.queue.tasks import order_score
from labelloop.reading.ids import TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.questions import health
from labelloop.store.questions.health import OpenTask
from labelloop.store.tables import projects
from labelloop.store.tables import tasks as task_store


def mend(database: Database, studio: Inspection, spec: LoopSpec) -> int:
    """Mark the tasks without a correct prediction, so that the next push gives them one; returns how many.

    No prediction is deleted: Label Studio refuses an answer from a page that was opened with a deleted prediction.
    """
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
    if project is None or project.project_id is None:
        return 0
    version = project.model_version
    served = studio.served(studio.project(project.id))
    with database.transaction() as conn:
        rows = {row.label_studio_id: row for row in health.open_tasks(conn, spec.name)}
    wrong = to_mend(served, rows, version)
    with database.transaction() as conn:
        task_store.show(conn, "", {rows[t].output_id: rows[t].priority for t in wrong})
    return len(wrong)


def to_mend(served: Sequence[Served], rows: Mapping[TaskId, OpenTask], version: str) -> list[TaskId]:
    """Return the tasks that lack a prediction of `version` with the order score that Postgres has."""
    found = []
    for task in served:
        row = rows.get(task.task_id)
        if row is None or row.shown_version != version:
            continue
        wanted = order_score(row.priority)
        if version not in task.versions or task.score is None or abs(task.score - wanted) > SAME_ORDER_SCORE:
            found.append(task.task_id)
    return found
