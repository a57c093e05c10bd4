"""Prelabel, on Label Studio's side: open tasks show what the version in force says, in its order.

The new predictions stand beside the old ones, and are shown when every open task has one: Label Studio serves tasks
without a prediction of the shown version last, or not at all while the others are taken.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from labelloop.errors import Ambiguous, LabelloopError, Unreachable
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.batches import BatchKind, BatchState, OpenBatch
from labelloop.queue.order import priorities, useful
from labelloop.queue.prelabel import prelabel_result
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import OpenTask, order_score
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import batches, jobs, projects
from labelloop.store.tables import tasks as task_store
from sync.push.batches import PushReport, in_force
from sync.push.window import look, opened

logger = logging.getLogger(__name__)

MAX_PREDICTIONS = 50
"""In one request: a quarter of a second, in which no click waits long."""


def prelabel(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    project: LoopProject,
    grace_s: float,
    checked: Callable[[], None],
) -> PushReport:
    """Renew what open tasks show. Twice is once: a task gets one prediction of a version, whatever is lost.

    `checked` is called before Label Studio is. After each request a pause as long as the request took leaves Label
    Studio to its people.
    """
    with database.transaction() as conn:
        pair = in_force(conn, spec.name)
        target = pair.name
        rows = task_store.in_review(conn, spec.name, pair)
        current = projects.get(conn, spec.name)
        left = [batch for batch in batches.open_(conn, spec.name) if batch.kind == BatchKind.PREDICTIONS]
    assert current is not None
    old = [row for row in rows if row.shown_version != target]
    if not left and not any(row.fresh for row in old) and (old or not rows or current.model_version == target):
        return PushReport()

    checked()
    there = gateway.versions_of_tasks(project.id, [row.label_studio_id for row in old]) if old else {}
    gone = [row for row in old if row.label_studio_id not in there]
    have = [row for row in old if target in there.get(row.label_studio_id, ())]
    lack = [row for row in old if row.label_studio_id in there and row not in have]
    coming, came = _settle(database, left, target, {row.output_id for row in lack}, grace_s)
    ready = [row for row in lack if row.fresh and row.output_id not in coming]
    # From when this version was in force before, or fetched by somebody's "Retrieve predictions".
    others = [row for row in have if row.output_id not in came]
    anew = [row for row in others if row.fresh]

    with database.transaction() as conn:
        window = look(conn, spec)
    places = priorities(
        [opened(row, spec) for row in (*anew, *ready)],
        useful(window.stands, window.queues["rule"], spec.queue.window),
        [*(row.priority for row in rows if row.shown_version == target), *came.values()],
        draw=target,
    )
    with database.transaction() as conn:
        task_store.show(conn, target, {row.output_id: came[row.output_id] for row in have if row not in others})
        if gone:
            annotation_store.record_doorbell(conn, spec.name, [row.label_studio_id for row in gone])
            jobs.ask(conn, jobs.PULL, spec.name)
    for row in anew:
        place = places[row.output_id]
        result = prelabel_result(spec, row)
        with _paced():
            gateway.change_predictions(project.id, row.label_studio_id, target, order_score(place), result)
        with database.transaction() as conn:
            task_store.show(conn, target, {row.output_id: place})
    for start in range(0, len(ready), MAX_PREDICTIONS):
        with _paced():
            _send(database, gateway, spec, project, ready[start : start + MAX_PREDICTIONS], target, places)
    if rows and len(lack) + len(others) == len(ready) + len(anew) and current.model_version != target:
        gateway.update_project(project.id, model_version=target)
        with database.transaction() as conn:
            projects.set_model_version(conn, spec.name, target)
        logger.info("the shown version is new", extra={"loop": spec.name, "version": target})
    return PushReport(renewed=len(ready) + len(anew))


@contextmanager
def _paced() -> Iterator[None]:
    began = time.monotonic()
    yield
    time.sleep(time.monotonic() - began)


def _settle(
    database: Database, left: Sequence[OpenBatch], target: str, lack: set[UUID], grace_s: float
) -> tuple[set[UUID], dict[UUID, float]]:
    """End the imports that an earlier push has left.

    Returns the outputs whose prediction may still be coming, and the priorities with which others were sent.
    """
    coming, came = set[UUID](), dict[UUID, float]()
    for batch in left:
        with database.transaction() as conn:
            sent = {row.output_id: row.priority for row in batches.items(conn, batch.id)}
            missing = sent.keys() & lack
            if batch.version == target:
                came |= {output_id: place for output_id, place in sent.items() if output_id not in lack}
            if missing and batch.version == target and batch.age_s <= grace_s:
                coming |= missing
                continue
            batches.end(conn, batch.id, batch.state, BatchState.ABANDONED if missing else BatchState.ADOPTED)
            batches.forget_items(conn, batch.id)
    return coming, came


def _send(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    project: LoopProject,
    rows: Sequence[OpenTask],
    version: str,
    places: dict[Any, float],
) -> None:
    with database.transaction() as conn:
        batch_id = batches.intend(conn, spec.name, version, len(rows), kind=BatchKind.PREDICTIONS)
        batches.carry(conn, batch_id, {row.output_id: places[row.output_id] for row in rows})
        batches.send(conn, batch_id)
    predictions = [
        {
            "task": row.label_studio_id,
            "result": prelabel_result(spec, row),
            "score": order_score(places[row.output_id]),
            "model_version": version,
        }
        for row in rows
    ]
    try:
        gateway.import_predictions(project.id, predictions)
    except Ambiguous:
        raise
    except LabelloopError as exc:
        with database.transaction() as conn:
            batches.end(
                conn,
                batch_id,
                BatchState.SENDING,
                BatchState.ABANDONED if isinstance(exc, Unreachable) else BatchState.REFUSED,
                str(exc),
            )
            batches.forget_items(conn, batch_id)
        raise
    with database.transaction() as conn:
        task_store.show(conn, version, {row.output_id: places[row.output_id] for row in rows})
        batches.end(conn, batch_id, BatchState.SENDING, BatchState.ADOPTED)
        batches.forget_items(conn, batch_id)
