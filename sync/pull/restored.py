"""Restored: signs that one of the two databases was restored from a backup and is older than the other.

If ours is older, Label Studio has tasks and answers that are not stored here: they are adopted before anything is
pushed. If Label Studio's is older, it lacks answers that are stored here: nobody deleted them, so they stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from labelloop.errors import Failed
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import KnownTask, Task
from labelloop.reading.ids import ProjectId, TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import annotations as annotation_store

LOOKED_AT = 20
"""Number of the newest answered tasks that are compared: a restore loses the newest."""
ANSWERED = 2_000
"""Number of the newest answered tasks among which missing ones are looked for."""
MARGIN = timedelta(seconds=5)
FEW = 3
"""Number of missing tasks from which it is no accident that they are the newest ones."""


class LabelStudioIsOlder(Failed):
    """Label Studio was restored to a time before answers that are stored here."""


def check_not_older(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> None:
    """Raise LabelStudioIsOlder if a task lacks an answer that is stored here, and was not changed since that answer.

    To delete an annotation is a change of its task too, so only a restore does that. A Label Studio that was killed in
    between has stored an answer without the change of its task: such an answer is there.
    """
    with database.transaction() as conn:
        stored = annotation_store.newest_by_task(conn, project.instance, LOOKED_AT)
    if back := went_back(gateway, project.id, stored):
        raise LabelStudioIsOlder(_words(spec.name, f"{len(back)} tasks there lack answers that are stored here"))


def went_back(gateway: Gateway, project_id: ProjectId, stored: Mapping[TaskId, datetime]) -> list[TaskId]:
    """Return the tasks that lack an answer and have not changed since; `stored`: time of the newest answer by task."""
    if not stored:
        return []
    there = gateway.changed_at(project_id, stored)
    back = [task_id for task_id, at in there.items() if at < stored[task_id] - MARGIN]
    return [task.id for task in gateway.tasks(project_id, back) if _lacks(task, stored[task.id] - MARGIN)]


def _lacks(task: Task, since: datetime) -> bool:
    """Whether the task has no answer after this time; False if its answers cannot be read."""
    return not task.fault and all(annotation.updated_at < since for annotation in task.annotations)


def check_gone(
    database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject, gone: Sequence[KnownTask]
) -> None:
    """Raise LabelStudioIsOlder if the missing tasks are the newest, and nothing has changed there since."""
    if len(gone) < FEW or project.bookmark is None:
        return
    newest = gateway.newest_change(project.id)
    if newest is not None and newest >= project.bookmark - MARGIN:
        return
    with database.transaction() as conn:
        answered = annotation_store.newest_by_task(conn, project.instance, ANSWERED)
    if newest is None or all(_last(task, answered) > newest + MARGIN for task in gone):
        raise LabelStudioIsOlder(_words(spec.name, f"its {len(gone)} newest tasks are gone, with all later changes"))


def _last(task: KnownTask, answered: Mapping[TaskId, datetime]) -> datetime:
    return max(task.pushed_at, answered.get(task.label_studio_id, task.pushed_at))


def _words(loop: str, sign: str) -> str:
    return (
        f"Label Studio seems to have been restored to an earlier time: in loop {loop!r}, {sign}. All answers that are "
        "stored here stay, and count. Restore a newer backup of Label Studio; or ask the open tasks again in a new "
        f"project: labelloop project recreate --loop {loop}. If people deleted these tasks on purpose: labelloop pull "
        f"--full --confirm-deletions --loop {loop}"
    )
