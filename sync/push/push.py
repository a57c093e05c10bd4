"""Push: the window in Label Studio is kept full of the most useful outputs, each of them exactly one task.

An import is written down before it is sent and sent at most once: `intent` (not sent yet), `sending` (from the moment
before the request leaves), then what became of it. Whoever finds a batch that its owner has left knows by this what to
do, and an owner that wakes up late finds its right to go on gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import NamedTuple
from uuid import UUID

from labelloop.errors import Conflict, Failed, Refused, Retriable, Unreachable
from labelloop.labeling.form_xml import same_form, shown_data
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import OutputState
from labelloop.process.settings import Settings
from labelloop.queue.batches import BatchItem, BatchState
from labelloop.queue.lanes import Lane, announced_lane, reason_for
from labelloop.queue.order import SECOND, priorities, useful
from labelloop.queue.prelabel import prelabel_result
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import BEST, TaskDraft, likeliest, sign, task_data, task_reason
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import batches, pool, projects
from labelloop.store.tables import tasks as task_store
from labelloop.versions.version import PIPELINE
from sync.project.project import check_is_ours, ensure_project, first_tasks, keep_order
from sync.push.batches import PushReport, adopt, put_back, settle
from sync.push.prelabel import prelabel
from sync.push.second import ask, reopen
from sync.push.window import look, prepare

logger = logging.getLogger(__name__)

REFUSALS_THAT_BLAME_THE_BATCH = 5
"""So many of one batch refused, and none taken: the fault is not theirs."""
RECORDS_FAULT = frozenset({400, 413, 422})
"""Refusals that say something about what was sent; others are about us, or about the project."""


def push(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    settings: Settings,
    *,
    check: bool = True,
    at_least: int = 1,
) -> PushReport:
    """Fill the window. Twice is once; killed at any point, the next push brings it to the same end.

    `check`: look at the project in any case; otherwise only before something is written to it. `at_least`: leave the
    window as it is while fewer places are free. Raises Retriable after having done what could be done.
    """
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
        empty = not task_store.any_yet(conn, spec.name)
    made = project is None or project.project_id is None
    if made:
        project = ensure_project(database, gateway, spec, settings).project
    assert project is not None
    checked = cache(partial(_check, gateway, project))
    if check and not made:
        checked()
    reopen(database, gateway, spec, project)
    report = settle(database, gateway, project, settings.push_grace_s)
    late: Retriable | None = None
    try:
        report += prelabel(database, gateway, spec, project, settings.push_grace_s, checked)
    except Retriable as exc:
        late = exc  # new prelabels can wait, people cannot
    while (claimed := _claim(database, spec, checked, at_least)) is not None:
        report += _send_all(database, gateway, spec, project, claimed)
        at_least = 1
    if late is not None:
        raise late
    report += prelabel(database, gateway, spec, project, settings.push_grace_s, checked)
    if empty and report.pushed:
        first_tasks(database, gateway, spec, project)
    if report != PushReport():
        logger.info("push", extra={"loop": spec.name, "report": report})
    return report


def _check(gateway: Gateway, project: LoopProject) -> None:
    """Raise unless the project is ours; what people changed of its order is put back."""
    keep_order(gateway, check_is_ours(gateway, project), project.model_version)


class Claim(NamedTuple):
    """What is to be sent now."""

    batch_id: UUID | None
    """None: nothing but second opinions."""
    differs: Mapping[UUID, str]
    """What selection said of these outputs."""
    again: list[UUID]
    """Answered outputs that are to be asked once more."""


def _claim(database: Database, spec: LoopSpec, checked: Callable[[], None], at_least: int) -> Claim | None:
    """Write the next batch down; None when fewer than `at_least` places are free, or nothing waits."""
    before, picks = prepare(database, spec)
    if before.places < at_least or not before.chosen(picks, before.places):
        return None
    checked()
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "push")

        # gather
        project = projects.get(conn, spec.name)
        assert project is not None
        window = look(conn, spec, before.within)

        # decide
        chosen = window.chosen(picks, before.places)
        coming = [item for item in chosen if item.lane != SECOND]
        claim = Claim(
            None,
            {pick.output_id: pick.why_also for pick in picks},
            [item.output_id for item in chosen if item.lane == SECOND],
        )
        if not coming:
            return claim if chosen else None
        # Tasks of another version than the others are served last, whatever their score.
        version = project.model_version if window.open_rows else window.pair.name
        placed = priorities(
            coming,
            useful(window.stands, coming, spec.queue.window),
            [row.priority for row in window.open_rows],
            draw=version,
        )

        # apply
        batch_id = batches.intend(conn, spec.name, version, len(coming))
        if pool.take(conn, batch_id, placed) != len(coming) or batches.start(conn, batch_id) != len(coming):
            raise Conflict(f"the pool of loop {spec.name!r} and its outputs' states do not fit together")
        return claim._replace(batch_id=batch_id)


def _send_all(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject, claim: Claim) -> PushReport:
    """Send what was claimed; a batch that Label Studio refuses in halves, down to the outputs that are at fault."""
    report = PushReport(asked_again=ask(database, spec, claim.again)) if claim.again else PushReport()
    if report.asked_again:
        reopen(database, gateway, spec, project)
    left, refusals = [] if claim.batch_id is None else [claim.batch_id], dict[UUID, Refused]()
    while left:
        batch_id = left.pop()
        done, halves, refusal = _send(database, gateway, spec, project, batch_id, claim.differs)
        report += done
        left += halves
        if refusal is not None:
            refusals[batch_id] = refusal
    if len(refusals) >= REFUSALS_THAT_BLAME_THE_BATCH and not report.pushed:
        with database.transaction() as conn:
            for batch_id, why in refusals.items():
                put_back(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(why))
        raise Failed(
            f"Label Studio takes none of {len(refusals)} outputs of loop {spec.name!r}, so the fault is hardly theirs; "
            f"they wait again ({next(iter(refusals.values()))})"
        )
    for batch_id, why in refusals.items():
        report += _quarantine(database, spec, batch_id, why)
    return report


def _send(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    project: LoopProject,
    batch_id: UUID,
    differs: Mapping[UUID, str],
) -> tuple[PushReport, list[UUID], Refused | None]:
    """What was pushed; of a batch that was refused, the halves to try; of a single output, the refusal."""
    with database.transaction() as conn:
        rows = batches.items(conn, batch_id)
        version = batches.version(conn, batch_id)
        # Before it counts as sent: what goes wrong here has surely not reached Label Studio.
        drafts = [_draft(spec, project, row, version, differs.get(row.output_id, "")) for row in rows]
        if not batches.send(conn, batch_id):
            return PushReport(), [], None
    try:
        ids = gateway.import_tasks(project.id, drafts)
    except Unreachable as exc:
        with database.transaction() as conn:
            put_back(conn, batch_id, BatchState.SENDING, BatchState.ABANDONED, str(exc))
        raise
    except Refused as exc:
        if exc.status not in RECORDS_FAULT:
            with database.transaction() as conn:
                put_back(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(exc))
            raise
        _same_config(database, gateway, spec, project, batch_id, exc)
        return (
            (PushReport(), [], exc) if len(rows) == 1 else (PushReport(), _halves(database, spec, batch_id, exc), None)
        )
    with database.transaction() as conn:
        pushed, _ = adopt(
            conn, project, batch_id, {draft.output_id: id_ for draft, id_ in zip(drafts, ids, strict=True)}
        )
    return PushReport(pushed=pushed), [], None


def _same_config(
    database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject, batch_id: UUID, why: Refused
) -> None:
    """Raise Failed, the outputs waiting again, when they were refused by a form that is not ours any more."""
    if same_form(spec.labels_xml, gateway.project(project.id).labels_xml):
        return
    with database.transaction() as conn:
        put_back(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(why))
    raise Failed(
        f"the labeling config of project {project.id} was changed in Label Studio, and it takes no "
        f"tasks of loop {spec.name!r} now; put the change into its labels.xml, or undo it ({why})"
    )


def _halves(database: Database, spec: LoopSpec, batch_id: UUID, why: Refused) -> list[UUID]:
    """Two batches in place of one of which nothing was imported."""
    with database.transaction() as conn:
        if not batches.end(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(why)):
            return []
        rows = batches.items(conn, batch_id)
        version = batches.version(conn, batch_id)
        halves = []
        for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            half = batches.intend(conn, spec.name, version, len(part))
            batches.hand_over(conn, batch_id, half, [row.output_id for row in part])
            halves.append(half)
        return halves


def _quarantine(database: Database, spec: LoopSpec, batch_id: UUID, why: Refused) -> PushReport:
    """The one output of a batch that Label Studio refuses for good."""
    with database.transaction() as conn:
        if not batches.end(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(why)):
            return PushReport()
        key = batches.items(conn, batch_id)[0].key
        quarantined = batches.release(conn, batch_id, OutputState.QUARANTINED, str(why))
        batches.forget_items(conn, batch_id)
    logger.warning("loop %s: output %s is quarantined: %s", spec.name, key, why)
    return PushReport(quarantined=quarantined)


def _draft(spec: LoopSpec, project: LoopProject, row: BatchItem, version: str, differs: str) -> TaskDraft:
    output_id, label = row.output_id, row.output_label
    signature = sign(project.signing_key, output_id)
    teaches = row.why
    if row.champion == row.ranker == PIPELINE or row.lane == Lane.GOLD:
        teaches = reason_for(spec, row.probabilities, row.evidence, row.output_confidence)
    why = task_reason(announced_lane(row.lane, spec), teaches, differs)
    shown = shown_data(spec.config.data_fields, row.data)
    data = task_data(shown, output_id, row.batch_id, row.key, label, signature, why)
    if spec.config.quick is not None:
        data[BEST] = [{"value": label} for label in likeliest(row.probabilities or {}, spec.labels)]
    return TaskDraft(
        output_id=output_id,
        data=data,
        result=prelabel_result(spec, row),
        priority=row.priority,
        version=version,
    )
