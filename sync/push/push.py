"""Push: keep the window in Label Studio full of the most useful outputs, each of them as exactly one task.

An import is stored as a batch before it is sent, and sent at most once. Its state is `intent` (not sent yet), `sending`
(from just before the request leaves), then a final state. The state tells the next push how to finish an abandoned
batch. If the first owner resumes later, its compare-and-set fails.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from uuid import UUID

from labelloop.errors import Failed, Refused, Retriable, Unreachable
from labelloop.labeling.form_xml import same_form
from labelloop.labelstudio.gateway import Gateway
from labelloop.outputs.output import OutputState
from labelloop.process.settings import Settings
from labelloop.queue.batches import BatchState
from labelloop.queue.project import LoopProject
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import batches, projects
from labelloop.store.tables import tasks as task_store
from sync.project import adjudicating
from sync.project.asks import ask_as_many, is_told
from sync.project.form import send_changed_form
from sync.project.project import check_is_ours, ensure_project, first_tasks, keep_order
from sync.pull.opinions import settle_opinions
from sync.pull.pull import catch_up
from sync.push.batches import PushReport, adopt, put_back, settle
from sync.push.budget import pass_over
from sync.push.claims import Claim, Claims
from sync.push.drafts import task_drafts, with_draws
from sync.push.prelabel import prelabel
from sync.push.second import ask, close, reopen

logger = logging.getLogger(__name__)

REFUSALS_THAT_BLAME_THE_BATCH = 5
"""If Label Studio refuses this many outputs of one batch and takes none, the fault is not in the outputs."""
RECORDS_FAULT = frozenset({400, 413, 422})
"""Statuses that refuse what was sent. Other refusals are about labelloop or the project."""


def push(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    settings: Settings,
    *,
    check: bool = True,
    at_least: int = 1,
    first_look_s: float = 0.0,
) -> PushReport:
    """Fill the window. A second call changes nothing.

    If the process is killed at any point, the next push brings the loop to the same end.

    `check`: check the project in any case; otherwise only before something is written to it. `at_least`: leave the
    window as it is while fewer places are free. `first_look_s`: seconds for which a new output stays out unless its
    media were looked at (sync/media), which a worker does. Raises Retriable after it has done all that could be done.
    """
    over_budget = PushReport(over_budget=pass_over(database, spec))  # it needs no Label Studio

    # gather
    project, is_new, is_first = _project(database, gateway, spec, settings)
    checked = cache(partial(_check, database, gateway, spec, project))
    if check and not is_new:
        checked()
    if not is_told(database, spec):
        settle_opinions(database, spec)
        ask_as_many(database, gateway, spec, gateway.project(project.id))
    reopen(database, gateway, spec, project)
    close(database, gateway, spec, project)
    if spec.adjudicators:
        adjudicating.keep_tab(database, gateway, spec, project)
    report = over_budget + settle(database, gateway, project, settings.push_grace_s)
    renew = partial(prelabel, database, gateway, spec, project, settings.push_grace_s, checked)
    renewed, failure = _try(renew)
    report += renewed

    # decide and apply, batch by batch
    report += _fill(database, gateway, spec, project, Claims(database, spec, checked, at_least, first_look_s))
    if failure is not None:
        raise failure
    report += renew()
    if is_first and report.pushed:
        first_tasks(database, gateway, spec, project)
    if report != PushReport():
        logger.info("push", extra={"loop": spec.name, "report": report})
    return report


def _project(
    database: Database, gateway: Gateway, spec: LoopSpec, settings: Settings
) -> tuple[LoopProject, bool, bool]:
    """Return the loop's project, whether it was made just now, and whether the loop never had a task."""
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
        is_first = not task_store.any_yet(conn, spec.name)
    if project is not None and project.project_id is not None:
        return project, False, is_first
    return ensure_project(database, gateway, spec, settings).project, True, is_first


def _check(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> None:
    """Raise unless the project is ours; send a changed form, and restore the settings of its order that somebody
    changed. After a restore of our database, first adopt the tasks that Label Studio has.
    """
    catch_up(database, gateway, spec, project)
    standing = send_changed_form(database, gateway, check_is_ours(gateway, project), project)
    keep_order(gateway, standing, project.model_version)


def _try(renew: Callable[[], PushReport]) -> tuple[PushReport, Retriable | None]:
    """Renew predictions now if possible; if not, annotators get their tasks first, and the caller raises afterwards."""
    try:
        return renew(), None
    except Retriable as exc:
        return PushReport(), exc


def _fill(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject, claims: Claims) -> PushReport:
    """Send batches until the window is full. While Label Studio makes the tasks of one, the next one is prepared."""
    report, sent = PushReport(), Future[PushReport]()
    sent.set_result(report)
    with ThreadPoolExecutor(1, "import") as sender:
        while (claim := claims.next(sent.result)) is not None:
            try:
                report += sent.result()
            except BaseException:
                _undo(database, claim)
                raise
            sent = sender.submit(_send_all, database, gateway, spec, project, claim)
            if claim.again:
                sent.result()  # else the next claim would ask for the same second opinions
        return report + sent.result()


def _undo(database: Database, claim: Claim) -> None:
    """Let the outputs of a claim wait again, since the batch before it was not taken."""
    if claim.batch_id is not None:
        with database.transaction() as conn:
            put_back(conn, claim.batch_id, BatchState.INTENT, BatchState.ABANDONED, "the batch before it failed")


def _send_all(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject, claim: Claim) -> PushReport:
    """Send the claimed outputs. A batch that Label Studio refuses is sent in halves, down to the outputs at fault."""
    report = PushReport(opened=claim.opened)
    if claim.again:
        report += PushReport(asked_again=ask(database, spec, claim.again))
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
            f"Label Studio takes none of {len(refusals)} outputs of loop {spec.name!r}, so the fault is not in them. "
            f"They wait again ({next(iter(refusals.values()))})"
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
    """Send one batch. Returns the report, the halves to try if it was refused, and the refusal of a single output."""
    with database.transaction() as conn:
        rows = with_draws(conn, spec, batches.items(conn, batch_id))
        version = batches.version(conn, batch_id)
        # Before the batch counts as sent: an error here means that Label Studio has not received anything.
        drafts = task_drafts(conn, spec, project, rows, version, differs)
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
    """Raise Failed if the project's form was changed. The outputs of the batch then wait again."""
    if same_form(spec.labels_xml, gateway.project(project.id).labels_xml):
        return
    with database.transaction() as conn:
        put_back(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(why))
    raise Failed(
        f"the labeling config of project {project.id} was changed in Label Studio, which now refuses the "
        f"tasks of loop {spec.name!r}. Make the same change in its labels.xml, or undo it ({why})"
    )


def _halves(database: Database, spec: LoopSpec, batch_id: UUID, why: Refused) -> list[UUID]:
    """Replace a batch of which nothing was imported by two batches; empty if another push has ended it already."""
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
    """Quarantine the only output of a batch, which Label Studio refuses for good."""
    with database.transaction() as conn:
        if not batches.end(conn, batch_id, BatchState.SENDING, BatchState.REFUSED, str(why)):
            return PushReport()
        key = batches.items(conn, batch_id)[0].key
        quarantined = batches.release(conn, batch_id, OutputState.QUARANTINED, str(why))
        batches.forget_items(conn, batch_id)
    logger.warning("loop %s: output %s is quarantined: %s", spec.name, key, why)
    return PushReport(quarantined=quarantined)
