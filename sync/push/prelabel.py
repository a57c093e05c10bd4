"""Prelabel, on Label Studio's side: give open tasks the labels and the order of the versions in force.

New predictions are stored beside the old ones, and shown when every open task has one. Label Studio serves a task
without a prediction of the shown version last, or not at all while the others are taken.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop.errors import Ambiguous, LabelloopError, Unreachable
from labelloop.labeling.results import units
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.batches import BatchKind, BatchState, OpenBatch
from labelloop.queue.order import priorities, useful
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import OpenTask, order_score
from labelloop.reading.ids import ProjectId, TaskId
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import batches, jobs, loops, projects
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import tasks as task_store
from sync.push.batches import PushReport, in_force
from sync.push.drafts import shown_result
from sync.push.window import look, opened

logger = logging.getLogger(__name__)

MAX_PREDICTIONS = 50
"""Predictions in one request. It takes a quarter of a second, so that no click waits long."""


def prelabel(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    project: LoopProject,
    grace_s: float,
    checked: Callable[[], None],
) -> PushReport:
    """Give open tasks a prediction of the versions in force. A second call adds no second prediction of a version.

    `checked` is called before the first call to Label Studio. After each request, a pause as long as the request leaves
    Label Studio to its annotators.
    """
    renewal = _Renewal(database, gateway, spec, project.id)

    # gather
    with database.transaction() as conn:
        found = _gather(conn, spec.name)
    if found.is_current():
        return PushReport()
    checked()
    ids = [row.label_studio_id for row in found.outdated]
    there = gateway.versions_of_tasks(project.id, ids) if ids else {}
    with database.transaction() as conn:
        sent = {one.id: {row.output_id: row.priority for row in batches.items(conn, one.id)} for one in found.left}
        window, under_way = look(conn, spec), batches.places(conn, spec.name)

    # decide
    plan = _decide(found, there, sent, grace_s)
    places = priorities(
        [opened(row, spec) for row in (*plan.change, *plan.send)],
        useful(window.stands, window.queues["rule"], spec.queue.window),
        [*plan.taken, *under_way],
        draw=found.target,
    )

    # apply
    renewal.record(plan, found.target)
    renewal.change(plan.change, found.target, places)
    all_sent = renewal.send(plan.send, found.target, places)
    if plan.complete and all_sent:  # Label Studio refuses to show a version without predictions
        renewal.show(found.target)
    return PushReport(renewed=len(plan.change) + len(plan.send))


@dataclass(frozen=True, slots=True)
class _Found:
    """The open tasks and the unfinished imports of predictions, as Postgres has them."""

    target: str
    """Name of the versions in force, which the open tasks should show."""
    shown: str
    """The versions whose predictions the project shows."""
    rows: list[OpenTask]
    left: list[OpenBatch]
    """Batches of predictions that an earlier push left without a result."""

    @property
    def outdated(self) -> list[OpenTask]:
        return [row for row in self.rows if row.shown_version != self.target]

    @property
    def kept(self) -> list[float]:
        """Priorities of the tasks that show these versions already."""
        return [row.priority for row in self.rows if row.shown_version == self.target]

    def is_current(self) -> bool:
        """Whether there is nothing to send, to show or to finish."""
        outdated = self.outdated
        if self.left or any(row.fresh for row in outdated):
            return False
        return bool(outdated) or not self.rows or self.shown == self.target


@dataclass(frozen=True, slots=True)
class _Plan:
    """Changes by which every open task gets a prediction of the versions in force."""

    ended: list[tuple[OpenBatch, BatchState]]
    """Batches of an earlier push, each with its final state."""
    arrived: dict[UUID, float]
    """Outputs whose prediction came by such a batch, with the priority that it was sent with."""
    gone: list[TaskId]
    """Tasks that are not in Label Studio any more."""
    change: list[OpenTask]
    """Tasks that have a prediction of these versions with an old order score: the versions were in force before, or
    somebody retrieved predictions by hand."""
    send: list[OpenTask]
    """Tasks that need a new prediction."""
    taken: list[float]
    """Priorities of the tasks that stay as they are."""
    complete: bool
    """After these changes every open task has a prediction to show, and the project does not show them yet."""


def _gather(conn: Conn, loop: str) -> _Found:
    pair = in_force(conn, loop)
    current = projects.get(conn, loop)
    assert current is not None
    return _Found(
        target=pair.name,
        shown=current.model_version,
        rows=task_store.in_review(conn, loop, pair),
        left=[batch for batch in batches.open_(conn, loop) if batch.kind == BatchKind.PREDICTIONS],
    )


def _decide(
    found: _Found,
    there: Mapping[TaskId, Collection[str]],
    sent: Mapping[UUID, Mapping[UUID, float]],
    grace_s: float,
) -> _Plan:
    """`there`: the versions of each outdated task's predictions in Label Studio. `sent`: what each batch carried."""
    present = [row for row in found.outdated if row.label_studio_id in there]
    have = [row for row in present if found.target in there[row.label_studio_id]]
    lack = [row for row in present if found.target not in there[row.label_studio_id]]
    ended, came, coming = _finish(found, {row.output_id for row in lack}, sent, grace_s)
    others = [row for row in have if row.output_id not in came]
    # Only what the versions in force have scored.
    change = [row for row in others if row.fresh]
    send = [row for row in lack if row.fresh and row.output_id not in coming]
    done = len(lack) + len(others) == len(send) + len(change)
    return _Plan(
        ended=ended,
        arrived={row.output_id: came[row.output_id] for row in have if row.output_id in came},
        gone=[row.label_studio_id for row in found.outdated if row.label_studio_id not in there],
        change=change,
        send=send,
        taken=[*found.kept, *came.values()],
        complete=done and bool(found.rows) and found.shown != found.target,
    )


def _finish(
    found: _Found, lack: Collection[UUID], sent: Mapping[UUID, Mapping[UUID, float]], grace_s: float
) -> tuple[list[tuple[OpenBatch, BatchState]], dict[UUID, float], set[UUID]]:
    """Decide the final state of each batch that an earlier push left.

    Also returns the outputs whose prediction arrived, with its priority, and those whose prediction may still come. A
    batch of the versions in force may take effect until the grace is over.
    """
    ended, came, coming = list[tuple[OpenBatch, BatchState]](), dict[UUID, float](), set[UUID]()
    for batch in found.left:
        carried = sent[batch.id]
        missing = carried.keys() & lack
        if batch.version == found.target:
            came |= {output_id: place for output_id, place in carried.items() if output_id not in lack}
            if missing and batch.age_s <= grace_s:
                coming |= missing
                continue
        ended.append((batch, BatchState.ABANDONED if missing else BatchState.ADOPTED))
    return ended, came, coming


class _Renewal:
    """The writes of one renewal, to Postgres and to Label Studio."""

    def __init__(self, database: Database, gateway: Gateway, spec: LoopSpec, project_id: ProjectId) -> None:
        self._database, self._gateway, self._spec, self._project_id = database, gateway, spec, project_id

    def record(self, plan: _Plan, version: str) -> None:
        """Store how earlier imports ended, and have the next pull check the tasks that are gone."""
        with self._database.transaction() as conn:
            for batch, state in plan.ended:
                batches.end(conn, batch.id, batch.state, state)
                batches.forget_items(conn, batch.id)
            task_store.show(conn, version, plan.arrived)
            if plan.gone:
                annotation_store.record_doorbell(conn, self._spec.name, plan.gone)
                jobs.ask(conn, jobs.PULL, self._spec.name)

    def change(self, rows: Sequence[OpenTask], version: str, places: Mapping[UUID, float]) -> None:
        """Give the predictions that these tasks have already the new order score and result."""
        prelabels = self._results(rows)
        for row in rows:
            place, result = places[row.output_id], prelabels[row.output_id]
            with _paced():
                self._gateway.change_predictions(
                    self._project_id, row.label_studio_id, version, order_score(place), result
                )
            with self._database.transaction() as conn:
                self._show(conn, version, {row.output_id: place})

    def send(self, rows: Sequence[OpenTask], version: str, places: Mapping[UUID, float]) -> bool:
        """Import a new prediction for each of these tasks. Returns False if another push is about to send some."""
        sent = 0
        for start in range(0, len(rows), MAX_PREDICTIONS):
            with _paced():
                sent += self._send(rows[start : start + MAX_PREDICTIONS], version, places)
        return sent == len(rows)

    def show(self, version: str) -> None:
        """Let the project show the predictions of this version, and rank by them."""
        self._gateway.update_project(self._project_id, model_version=version)
        with self._database.transaction() as conn:
            projects.set_model_version(conn, self._spec.name, version)
        logger.info("the project shows a new version", extra={"loop": self._spec.name, "version": version})

    def _show(self, conn: Conn, version: str, priorities: Mapping[UUID, float]) -> None:
        """Store what tasks show now; if the labels have changed since it was made, the next push sends it again."""
        task_store.lock(conn, priorities)
        if loops.knows_labels(conn, self._spec):
            task_store.show(conn, version, priorities)

    def _results(self, rows: Sequence[OpenTask]) -> dict[UUID, list[dict[str, Any]]]:
        """Return the prelabel of each task by its output. The data are read only if the form's results need them."""
        data: dict[UUID, Mapping[str, Any]] = {}
        if units.needed(self._spec.config):
            with self._database.transaction() as conn:
                data = output_store.data_of(conn, [row.output_id for row in rows])
        return {row.output_id: shown_result(self._spec, row, data.get(row.output_id)) for row in rows}

    def _send(self, rows: Sequence[OpenTask], version: str, places: Mapping[UUID, float]) -> int:
        with self._database.transaction() as conn:
            # Another push, such as one by hand, may have sent some of these since they were read.
            projects.lock_hop(conn, self._spec.name, "push")
            without = batches.without(conn, version, [row.output_id for row in rows])
            carried = {row.output_id: places[row.output_id] for row in rows if row.output_id in without}
            if not carried:
                return 0
            batch_id = batches.intend(conn, self._spec.name, version, len(carried), kind=BatchKind.PREDICTIONS)
            batches.carry(conn, batch_id, carried)
            batches.send(conn, batch_id)
        rows = [row for row in rows if row.output_id in carried]
        prelabels = self._results(rows)
        predictions = [
            {
                "task": row.label_studio_id,
                "result": prelabels[row.output_id],
                "score": order_score(places[row.output_id]),
                "model_version": version,
            }
            for row in rows
        ]
        try:
            self._gateway.import_predictions(self._project_id, predictions)
        except Ambiguous:
            raise
        except LabelloopError as exc:
            state = BatchState.ABANDONED if isinstance(exc, Unreachable) else BatchState.REFUSED
            with self._database.transaction() as conn:
                batches.end(conn, batch_id, BatchState.SENDING, state, str(exc))
                batches.forget_items(conn, batch_id)
            raise
        with self._database.transaction() as conn:
            self._show(conn, version, carried)
            batches.end(conn, batch_id, BatchState.SENDING, BatchState.ADOPTED)
            batches.forget_items(conn, batch_id)
        return len(carried)


@contextmanager
def _paced() -> Iterator[None]:
    """Pause afterwards for as long as the body took."""
    began = time.monotonic()
    yield
    time.sleep(time.monotonic() - began)
