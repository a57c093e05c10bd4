"""Sweep: every task in Label Studio beside every task that we know of. It finds what no change of a task tells:
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
from labelloop.store.tables import projects
from labelloop.store.tables import tasks as task_store
from sync.project.project import check_is_ours
from sync.pull.take_in import Pull, PullReport

logger = logging.getLogger(__name__)

MANY_DELETIONS = 20
SHARE = 0.02
"""If more than MANY_DELETIONS tasks and more than this share of all are gone, assume a fault of Label Studio."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is kept of a task while all of them are held side by side: its data may be an image."""

    id: int
    annotated: int
    output_id: UUID | None
    """The output that it carries; None unless the signature fits."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A task that is not in Label Studio any more."""

    task: KnownTask
    reused: bool
    """Its id is another output's now; on SQLite ids come again."""


def sweep(pull: Pull, confirm_deletions: bool = False) -> PullReport:
    """Nothing is concluded from a sweep that was not completed, or while the project does not answer.

    `confirm_deletions`: somebody says that the missing tasks were deleted on purpose, however many they are.
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
        raise Failed(
            f"{len(gone)} of the {len(rows)} tasks of loop {pull.spec.name!r} are gone from Label Studio. That is more "
            f"than people usually delete (at most {MANY_DELETIONS}, or {SHARE:.0%}), so no answer was withdrawn. If "
            f"they were deleted on purpose: labelloop pull --full --confirm-deletions --loop {pull.spec.name}. If not, "
            f"restore Label Studio's database, or ask all open tasks again: labelloop project recreate --loop "
            f"{pull.spec.name}"
        )
    counted = {row.label_studio_id: row.annotated for row in rows}
    # Annotated otherwise than we know, or not written down at all: a late import, perhaps, or somebody's own task.
    differ = [task.id for task in standing if task.annotated != counted.get(task.id, -1)]

    # apply
    report = PullReport()
    for page in _pages(differ):
        report += pull.take_in(pull.gateway.tasks(pull.project_id, page))
    if gone:
        asked = [one.task.label_studio_id for one in gone]
        still = {
            task.id for page in _pages(asked) for task in pull.gateway.tasks(pull.project_id, page, annotations=False)
        }
        vanished = [one.task.output_id for one in gone if one.task.label_studio_id not in still or one.reused]
        with pull.database.transaction() as conn:
            projects.lock_hop(conn, pull.spec.name, "answers")
            report += pull.withdraw(conn, vanished)
    for output_id, tasks in ours.items():
        if len(tasks) > 1:
            report += PullReport(duplicates=_keep_one(pull, output_id, tasks))
    with pull.database.transaction() as conn:
        projects.swept(conn, pull.spec.name)
    return report


def confirm(pull: Pull) -> None:
    """Raise unless Label Studio knows us, and the project is ours: to a lost permission every task looks deleted."""
    check_is_ours(pull.gateway, pull.project)
    pull.gateway.whoami()


def too_many(gone: int, known: int) -> bool:
    return gone > max(MANY_DELETIONS, SHARE * known)


def reduce(tasks: Iterable[Task], signing_key: bytes) -> list[Standing]:
    return [Standing(task.id, task.annotated, task.output_id(signing_key)) for task in tasks]


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
    """Delete the tasks that nobody has begun to answer, but for one; returns how many.

    Annotated ones are all kept: their reviewers count once each, whatever task they answered.
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
                "task %d was one too many for output %s: deleted", task.id, output_id, extra={"loop": pull.spec.name}
            )
    if own is not None and own not in {task.id for task in kept}:
        with pull.database.transaction() as conn:
            task_store.point_to(conn, output_id, kept[0].id)
    return deleted


def _untouched(pull: Pull, task: Standing, output_id: UUID) -> bool:
    """Read again, right before it is deleted."""
    now = pull.gateway.tasks(pull.project_id, [task.id], annotations=False)
    return (
        len(now) == 1
        and now[0].annotated == 0
        and now[0].output_id(pull.project.signing_key) == output_id
        and not pull.gateway.has_draft(pull.project_id, task.id)
    )


def _pages(ids: Sequence[int], size: int = 200) -> list[Sequence[int]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]
