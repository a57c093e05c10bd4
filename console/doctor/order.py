"""The served order read back: Label Studio's own order of the open tasks, beside ours."""

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
from labelloop.store.questions.health import OpenTask


@dataclass(frozen=True, slots=True)
class Ours:
    """An open task as Postgres knows it."""

    task_id: int
    key: str
    priority: float
    shown_version: str
    """The version of its newest prediction."""


def scores(loop: str, served: Sequence[Served], ours: Sequence[Ours], version: str) -> Finding:
    """Every open task of ours must have one prediction of `version`, which should be shown, with our score.

    Of several the score is the average, so they are seen as another score; Label Studio itself takes the lowest.
    """
    theirs = {task.task_id: task for task in served}
    both = [(task, theirs[task.task_id]) for task in ours if task.task_id in theirs]
    if not both:
        return good("scores", "no task is open", loop)
    faults = []
    bare = [task for task, there in both if version not in there.versions]
    if bare:
        faults.append(f"{_of(bare, both)} no prediction of {version!r}")
    null = [task for task, there in both if version in there.versions and there.score is None]
    if null:
        faults.append(f"{_of(null, both)} no score")
    counts = Counter(there.score for _, there in both if there.score is not None)
    tied = [task for task, there in both if there.score is not None and counts[there.score] > 1]
    if tied:
        faults.append(f"{_of(tied, both)} the score of another")
    other = [
        task
        for task, there in both
        if task.shown_version == version
        and there.score is not None
        and abs(there.score - order_score(task.priority)) > SAME_ORDER_SCORE
    ]
    if other:
        faults.append(f"{_of(other, both)} another score than ours")
    if not faults:
        return good("scores", f"{len(both)} open, each with one of its own", loop)
    return fault(
        "scores",
        "; ".join(faults),
        why="tasks without a score come last or never, equal ones in any order",
        repair=push_it(loop),
        loop=loop,
    )


def order(loop: str, served: Sequence[Served], ours: Sequence[Ours], version: str) -> Finding:
    """Label Studio's order against ours, of the tasks that both call open and whose place is that of `version`.

    While new predictions are on their way the places of some are those of the next version: they are left out.
    """
    place = {task.task_id: task for task in ours if task.shown_version == version}
    theirs = [task for task in served if task.task_id in place]
    wanted = sorted((place[task.task_id] for task in theirs), key=lambda task: (-task.priority, task.key))
    if len(theirs) < 2:
        return good("order", f"{len(theirs)} open, nothing to put in order", loop)
    rho = spearman(
        [-place[task.task_id].priority for task in theirs],
        [np.inf if task.score is None else task.score for task in theirs],
    )
    first = first_out_of_place([task.task_id for task in wanted], [task.task_id for task in theirs])
    later = len(ours) - len(place)
    rest = f"; {later} more await a new version" if later else ""
    if first is None and rho is not None and rho > 1 - 1e-9:
        return good("order", f"{len(theirs)} tasks are served in our order (Spearman 1.00{rest})", loop)
    measured = "no score differs" if rho is None else f"Spearman {rho:.2f}"
    if first is None:  # by chance: Label Studio serves those in any order
        says = f"{measured}; tasks have equal scores or none, so they come in any order"
    else:
        due, comes = wanted[first], place[theirs[first].task_id]
        says = (
            f"{measured}; at place {first + 1} comes task {comes.task_id} (priority {comes.priority:.3f}), "
            f"due is task {due.task_id} ({due.priority:.3f})"
        )
    return fault("order", says + rest, why="people answer what teaches less", repair=push_it(loop), loop=loop)


def members(loop: str, n: int | None) -> Finding:
    """Rows of Label Studio's ProjectMember. None: its database is not known, and no address of its API tells."""
    if n is None:
        return good("members", "not to be seen through the API; --label-studio-database looks", loop)
    if n > 1:
        return fault(
            "members",
            f"the project has {n} members in Label Studio's database",
            why="with more than one, uncertainty sampling is random; Label Studio Community makes none by itself",
            repair="delete from projects_projectmember where project_id = ...  -- in psql, in Label Studio's database",
            loop=loop,
        )
    return good("members", "none that would make the order random", loop)


def spearman(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Spearman's rank correlation (1904), equal values sharing their mean rank; None where one side is all equal."""
    a, b = (_ranks(np.asarray(values, dtype=np.float64)) for values in (ours, theirs))
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread else None


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[which], dtype=np.float64)


def first_out_of_place(wanted: Sequence[int], found: Sequence[int]) -> int | None:
    """The first place, from 0, at which two orders of the same tasks differ."""
    return next((i for i, (a, b) in enumerate(zip(wanted, found, strict=True)) if a != b), None)


def _of(some: Sequence[Ours], all_: Sequence[object]) -> str:
    example = f" (task {some[0].task_id})" if len(some) < len(all_) else ""
    return f"{len(some)} of {len(all_)} open tasks have{example}" if len(some) != 1 else f"task {some[0].task_id} has"


def by_id(rows: Sequence[OpenTask]) -> list[Ours]:
    return [Ours(row.label_studio_id, row.key, row.priority, row.shown_version) for row in rows]
