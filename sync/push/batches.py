"""Finish imports into Label Studio: adopt the tasks that they made, and let the other outputs wait again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from uuid import UUID

import psycopg

from labelloop.errors import LabelloopError, Unreachable
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import OutputState
from labelloop.queue.batches import BatchKind, BatchState, OpenBatch
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import Task
from labelloop.reading.ids import TaskId
from labelloop.store.database import Conn, Database
from labelloop.store.opinions import adjudicated
from labelloop.store.pipelines import direct
from labelloop.store.tables import batches, outputs, pool, projects, versions
from labelloop.store.tables import tasks as task_store
from labelloop.versions.version import VersionPair

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PushReport:
    """Counts of outputs."""

    pushed: int = 0
    """Sent, and confirmed by Label Studio."""
    adopted: int = 0
    """Found in Label Studio after its reply was lost."""
    put_back: int = 0
    """Waiting again, because they were not sent or did not arrive."""
    quarantined: int = 0
    renewed: int = 0
    """Open tasks that got a prediction of the versions in force."""
    asked_again: int = 0
    """Answered tasks that now wait for a second opinion."""
    over_budget: int = 0
    """Passed, because the budget of an earlier day kept them out."""
    opened: int = 0
    """Tasks of an adopted project that are ranked from now on."""
    unclear: int = 0
    """Sent in a batch whose reply was lost; the next pushes look for them until the grace is over."""

    def __add__(self, other: PushReport) -> PushReport:
        return PushReport(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})


def settle(database: Database, gateway: Gateway, project: LoopProject, grace_s: float) -> PushReport:
    """Finish every batch that an earlier push left.

    A batch in state `intent` was never sent. A batch that was sent may take effect late: the outputs that Label Studio
    does not have wait again only after the grace of `grace_s` seconds. The sweep finds tasks that come even later.
    """
    with database.transaction() as conn:
        left = [batch for batch in batches.open_(conn, project.loop) if batch.kind == BatchKind.TASKS]
    report = PushReport()
    for batch in left:
        try:
            report += _settle_one(database, gateway, project, batch, grace_s)
        except Unreachable:
            raise
        except (LabelloopError, psycopg.Error):
            # One faulty batch does not keep the others waiting.
            logger.exception("batch %s cannot be settled", batch.id, extra={"loop": project.loop})
            report += PushReport(unclear=batch.size)
    return report


def _settle_one(
    database: Database, gateway: Gateway, project: LoopProject, batch: OpenBatch, grace_s: float
) -> PushReport:
    if batch.state == BatchState.INTENT:
        with database.transaction() as conn:
            return PushReport(
                put_back=put_back(conn, batch.id, BatchState.INTENT, BatchState.ABANDONED, "it was never sent")
            )
    arrived = _by_output(gateway.tasks_of_batch(project.id, batch.id), project.signing_key)
    if len(arrived) < batch.size and batch.age_s <= grace_s:
        return PushReport(unclear=batch.size)
    with database.transaction() as conn:
        if arrived:
            n, back = adopt(conn, project, batch.id, arrived)
            return PushReport(adopted=n, put_back=back)
        why = f"not there after {batch.age_s:.0f} s"
        return PushReport(put_back=put_back(conn, batch.id, BatchState.SENDING, BatchState.ABANDONED, why))


def adopt(conn: Conn, project: LoopProject, batch_id: UUID, ids: Mapping[UUID, TaskId]) -> tuple[int, int]:
    """Store the tasks that the batch has become. `ids`: output to Label Studio's id; the other outputs wait again.

    Returns how many were adopted and how many wait; 0 and 0 if another push has ended the batch already.
    """
    # Label Studio serves a task before it is stored here. So wait for a pull that is storing an answer to it.
    projects.lock_hop(conn, project.loop, "answers")
    if not batches.end(conn, batch_id, BatchState.SENDING, BatchState.ADOPTED):
        return 0, 0
    # On SQLite, Label Studio uses the ids of deleted tasks again.
    before = task_store.by_label_studio_id(conn, project.instance, list(ids.values()))
    moved = [output_id for task_id, output_id in before.items() if ids.get(output_id) != task_id]
    gone = [output_id for output_id in moved if output_id not in ids]
    were, why = [OutputState.IN_REVIEW, OutputState.ANSWERED], "its task was deleted in Label Studio"
    if moved:
        outputs.set_state(conn, gone, were, OutputState.WITHDRAWN, why)
        task_store.forget(conn, moved)
    batches.adopt(conn, batch_id, project.instance, ids)
    adopted = batches.in_review(conn, batch_id, list(ids))
    task_store.answered_before(conn, list(ids))
    direct.close(conn, list(ids))
    adjudicated.close(conn, list(ids))
    back = 0
    if adopted < len(batches.item_ids(conn, batch_id)):
        back = _release(conn, batch_id, "its import did not make the task")
    batches.forget_items(conn, batch_id)
    return adopted, back


def put_back(conn: Conn, batch_id: UUID, was: BatchState, became: BatchState, reason: str) -> int:
    """Let the outputs of a batch wait again, since none is in Label Studio. Returns how many."""
    if not batches.end(conn, batch_id, was, became, reason):
        return 0
    n = _release(conn, batch_id, reason)
    batches.forget_items(conn, batch_id)
    return n


def _release(conn: Conn, batch_id: UUID, reason: str) -> int:
    """Let the outputs of the batch wait again that have no task; return how many."""
    pool.put_back(conn, batch_id)
    n = batches.release(conn, batch_id, OutputState.WAITING, reason)
    direct.settle(conn, batches.item_ids(conn, batch_id))
    return n


def in_force(conn: Conn, loop: str) -> VersionPair:
    """Return the versions that label and rank today."""
    champion = versions.champion(conn, loop)
    return VersionPair.of(None if champion is None else champion.id, versions.ranker(conn, loop))


def _by_output(tasks: Iterable[Task], signing_key: bytes) -> dict[UUID, TaskId]:
    found = ((task.output_id(signing_key), task.id) for task in tasks)
    return {output_id: task_id for output_id, task_id in found if output_id is not None}
