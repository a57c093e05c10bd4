"""Sweep: compare every task in Label Studio with every task in Postgres. It finds what no change of a task shows:
deleted tasks, tasks that came late, and two tasks for one output.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from labelloop.errors import Failed
from labelloop.queue.tasks import KnownTask, Task
from labelloop.reading.ids import TaskId
from labelloop.store.privacy import outputs as forgetting
from labelloop.store.tables import projects
from labelloop.store.tables import tasks as task_store
from sync.alerts.answers import confirm_many_deleted, watch_many_deleted
from sync.project.project import check_is_ours
from sync.pull.restored import check_gone, check_not_older
from sync.pull.take_in import Pull, PullReport

logger = logging.getLogger(__name__)

MANY_DELETIONS = 20
SHARE = 0.02
"""If more than MANY_DELETIONS tasks and more than this share of all are gone, assume a fault of Label Studio."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A task without its data, which may be an image: all tasks are in memory at the same time."""

    id: TaskId
    annotated: int
    output_id: UUID | None
    """The output that its data names; None unless the signature is valid."""
    is_faulty: bool = False
    """Whether Label Studio cannot show it."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A task that is not in Label Studio any more."""

    task: KnownTask
    reused: bool
    """True if another output's task has its id now. On SQLite, Label Studio uses ids again."""


def sweep(pull: Pull, confirm_deletions: bool = False) -> PullReport:
    """Compare all tasks, and store the differences. Changes nothing unless the list of tasks is complete.

    `confirm_deletions`: the missing tasks were deleted on purpose, however many they are. Raises Failed without it if
    more are missing than people usually delete.
    """
    # gather
    with pull.database.transaction() as conn:
        rows = task_store.ids(conn, pull.spec.name)
    standing = reduce(pull.gateway.all_tasks(pull.project_id), pull.project.signing_key)
    confirm(pull)

    # decide
    ours = by_output(standing)
    gone = gone_from(rows, standing, ours)
    if not confirm_deletions and too_many(len(gone), len(rows)):
        with pull.database.transaction() as conn:
            watch_many_deleted(conn, pull.spec, pull.instance, len(gone), len(rows))
        raise Failed(
            f"{len(gone)} of the {len(rows)} tasks of loop {pull.spec.name!r} are gone from Label Studio. That is more "
            f"than people usually delete (at most {MANY_DELETIONS}, or {SHARE:.0%}), so no answer was withdrawn. If "
            f"they were deleted on purpose: labelloop pull --full --confirm-deletions --loop {pull.spec.name}. If not, "
            f"restore Label Studio's database, or ask all open tasks again: labelloop project recreate --loop "
            f"{pull.spec.name}"
        )
    if not confirm_deletions:
        check_not_older(pull.database, pull.gateway, pull.spec, pull.project)
        check_gone(pull.database, pull.gateway, pull.spec, pull.project, [one.task for one in gone])
    counted = {row.label_studio_id: row.annotated for row in rows}
    # Tasks with another number of annotations than stored, or not stored: a late import, or a task of somebody else.
    differ = [task.id for task in standing if task.is_faulty or task.annotated != counted.get(task.id, -1)]
    double = {output_id: tasks for output_id, tasks in ours.items() if len(tasks) > 1}

    # apply
    report = PullReport()
    for page in _pages(differ):
        report += pull.take_in(pull.gateway.tasks(pull.project_id, page))
    if gone:
        report += _withdraw(pull, gone, on_purpose=confirm_deletions)
    for output_id, tasks in double.items():
        report += PullReport(duplicates=_keep_one(pull, output_id, tasks))
    _delete_forgotten(pull, ours)
    with pull.database.transaction() as conn:
        projects.swept(conn, pull.spec.name)
    return report


def _withdraw(pull: Pull, gone: Sequence[Gone], *, on_purpose: bool) -> PullReport:
    """Withdraw the outputs whose task is still gone at a second look."""
    asked = [one.task.label_studio_id for one in gone]
    still = {task.id for page in _pages(asked) for task in pull.gateway.tasks(pull.project_id, page, annotations=False)}
    vanished = [one.task.output_id for one in gone if one.task.label_studio_id not in still or one.reused]
    with pull.database.transaction() as conn:
        projects.lock_hop(conn, pull.spec.name, "answers")
        if on_purpose:
            confirm_many_deleted(conn, pull.spec, pull.instance)
        return pull.withdraw(conn, vanished, on_purpose=on_purpose)


def _delete_forgotten(pull: Pull, ours: Mapping[UUID, list[Standing]]) -> None:
    """Delete the tasks of forgotten outputs. There are none, unless a backup of Label Studio was restored."""
    with pull.database.transaction() as conn:
        forgotten = forgetting.among(conn, list(ours))
    for output_id in sorted(forgotten):
        for task in ours[output_id]:
            pull.gateway.delete_task(task.id)
            logger.warning("deleted task %d of a forgotten output", task.id, extra={"loop": pull.spec.name})


def confirm(pull: Pull) -> None:
    """Raise unless the token and the project are valid: without permission, every task looks deleted."""
    check_is_ours(pull.gateway, pull.project)
    pull.gateway.whoami()


def too_many(gone: int, known: int) -> bool:
    return gone > max(MANY_DELETIONS, SHARE * known)


def reduce(tasks: Iterable[Task], signing_key: bytes) -> list[Standing]:
    return [Standing(task.id, task.annotated, task.output_id(signing_key), bool(task.fault)) for task in tasks]


def by_output(tasks: Iterable[Standing]) -> dict[UUID, list[Standing]]:
    ours: dict[UUID, list[Standing]] = defaultdict(list)
    for task in tasks:
        if task.output_id is not None:
            ours[task.output_id].append(task)
    return ours


def gone_from(
    rows: Sequence[KnownTask], standing: Sequence[Standing], ours: Mapping[UUID, list[Standing]]
) -> list[Gone]:
    """Return the tasks that are not there any more."""
    ids = {task.id for task in standing}
    taken = {task.id for tasks in ours.values() for task in tasks}
    return [
        Gone(row, reused=row.label_studio_id in taken)
        for row in rows
        if row.output_id not in ours and (row.label_studio_id not in ids or row.label_studio_id in taken)
    ]


def _keep_one(pull: Pull, output_id: UUID, tasks: Sequence[Standing]) -> int:
    """Delete the tasks of an output that nobody has begun to answer, except for one; returns how many.

    All annotated tasks are kept: each reviewer counts once, whichever task they answered.
    """
    with pull.database.transaction() as conn:
        known = task_store.known(conn, pull.spec.name, [output_id]).get(output_id)
    if known is None:
        return 0
    own = known.label_studio_id
    annotated = [task for task in tasks if task.annotated]
    kept = annotated or [min(tasks, key=lambda task: (task.id != own, task.id))]
    deleted = 0
    for task in tasks:
        if task not in kept and _untouched(pull, task, output_id):
            pull.gateway.delete_task(task.id)
            deleted += 1
            logger.warning(
                "deleted task %d, a duplicate for output %s", task.id, output_id, extra={"loop": pull.spec.name}
            )
    if own is not None and own not in {task.id for task in kept}:
        with pull.database.transaction() as conn:
            task_store.point_to(conn, output_id, kept[0].id)
    return deleted


def _untouched(pull: Pull, task: Standing, output_id: UUID) -> bool:
    """Whether nobody has begun to answer this task of the output, by a read right before its deletion."""
    now = pull.gateway.tasks(pull.project_id, [task.id], annotations=False)
    return (
        len(now) == 1
        and now[0].annotated == 0
        and now[0].output_id(pull.project.signing_key) == output_id
        and not pull.gateway.has_draft(pull.project_id, task.id)
    )


def _pages(ids: Sequence[TaskId], size: int = 200) -> list[Sequence[TaskId]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
