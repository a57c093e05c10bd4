"""Checks of the served order: Label Studio's own order of the open tasks, compared with ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from console.doctor.findings import Finding, fault, good
from console.doctor.project import push_it
from labelloop.labelstudio.inspection import SAME_ORDER_SCORE, Served
from labelloop.queue.tasks import order_score
from labelloop.reading.ids import TaskId
from labelloop.store.questions.health import OpenTask


@dataclass(frozen=True, slots=True)
class Ours:
    """An open task as Postgres knows it."""

    task_id: TaskId
    key: str
    priority: float
    shown_version: str
    """The version of its newest prediction."""


def scores(loop: str, served: Sequence[Served], ours: Sequence[Ours], version: str) -> Finding:
    """Check that every open task has one prediction of `version`, the shown one, with our order score.

    If a task has several, `Served.score` is their average and so differs from ours; Label Studio ranks by the lowest.
    """
    theirs = {task.task_id: task for task in served}
    both = [(task, theirs[task.task_id]) for task in ours if task.task_id in theirs]
    if not both:
        return good("scores", "no task is open", loop)
    faults = _score_faults(both, version)
    if not faults:
        return good("scores", f"{len(both)} open, each with its own order score", loop)
    return fault(
        "scores",
        "; ".join(faults),
        why="tasks without an order score are served last or never, tasks with equal ones in any order",
        repair=push_it(loop),
        loop=loop,
    )


def _score_faults(both: Sequence[tuple[Ours, Served]], version: str) -> list[str]:
    """Return one line per kind of fault, for pairs of a task as Postgres and as Label Studio know it."""
    counts = Counter(there.score for _, there in both if there.score is not None)
    scored = [(task, there.score) for task, there in both if there.score is not None]
    faulty = {
        f"no prediction of {version!r}": [task for task, there in both if version not in there.versions],
        "no order score": [task for task, there in both if version in there.versions and there.score is None],
        "the order score of another": [task for task, score in scored if counts[score] > 1],
        "a different order score than ours": [
            task
            for task, score in scored
            if task.shown_version == version and abs(score - order_score(task.priority)) > SAME_ORDER_SCORE
        ],
    }
    return [f"{_of(tasks, both)} {words}" for words, tasks in faulty.items() if tasks]


def order(loop: str, served: Sequence[Served], ours: Sequence[Ours], version: str) -> Finding:
    """Compare Label Studio's order with ours, over the tasks that are open in both and ranked by `version`.

    While new predictions are being sent, some tasks are ranked by the next version; they are left out.
    """
    place = {task.task_id: task for task in ours if task.shown_version == version}
    theirs = [task for task in served if task.task_id in place]
    wanted = sorted((place[task.task_id] for task in theirs), key=lambda task: (-task.priority, task.key))
    if len(theirs) < 2:
        return good("order", f"{len(theirs)} open, nothing to compare", loop)
    rho = spearman(
        [-place[task.task_id].priority for task in theirs],
        [np.inf if task.score is None else task.score for task in theirs],
    )
    first = first_out_of_place([task.task_id for task in wanted], [task.task_id for task in theirs])
    later = len(ours) - len(place)
    rest = f"; {later} more tasks await a new version" if later else ""
    if first is None and rho is not None and rho > 1 - 1e-9:
        return good("order", f"{len(theirs)} tasks are served in our order (Spearman 1.00{rest})", loop)
    measured = "all order scores are equal" if rho is None else f"Spearman {rho:.2f}"
    if first is None:  # equal by chance: Label Studio serves equal scores in any order
        cause = "some tasks have equal order scores or none, so they are served in any order"
    else:
        cause = _first_difference(first, wanted[first], place[theirs[first].task_id])
    return fault(
        "order",
        f"{measured}; {cause}{rest}",
        why="annotators answer less useful tasks first",
        repair=push_it(loop),
        loop=loop,
    )


def _first_difference(index: int, wanted: Ours, served: Ours) -> str:
    return (
        f"place {index + 1} is task {served.task_id} (priority {served.priority:.3f}), "
        f"expected task {wanted.task_id} ({wanted.priority:.3f})"
    )


def members(loop: str, n: int | None) -> Finding:
    """Check the ProjectMember rows of Label Studio. `n` is None if its database is not known; its API does not tell."""
    if n is None:
        return good("members", "not visible through the API; give --label-studio-database to check", loop)
    if n > 1:
        return fault(
            "members",
            f"the project has {n} members in Label Studio's database",
            why="with more than one, uncertainty sampling is random; Label Studio Community never creates them",
            repair="delete from projects_projectmember where project_id = ...  -- in psql, in Label Studio's database",
            loop=loop,
        )
    return good("members", "at most one, so the order is not random", loop)


def spearman(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation (1904); ties get their mean rank. None if all values of one side are equal."""
    a, b = (_ranks(np.asarray(values, dtype=np.float64)) for values in (ours, theirs))
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else None


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[which], dtype=np.float64)


def first_out_of_place(wanted: Sequence[int], found: Sequence[int]) -> int | None:
    """Return the first index at which two orders of the same tasks differ; None if they are equal."""
    return next((i for i, (a, b) in enumerate(zip(wanted, found, strict=True)) if a != b), None)


def _of(some: Sequence[Ours], all_: Sequence[object]) -> str:
    example = f" (task {some[0].task_id})" if len(some) < len(all_) else ""
    return f"{len(some)} of {len(all_)} open tasks have{example}" if len(some) != 1 else f"task {some[0].task_id} has"


def by_id(rows: Sequence[OpenTask]) -> list[Ours]:
    return [Ours(row.label_studio_id, row.key, row.priority, row.shown_version) for row in rows]
