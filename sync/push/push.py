"""Push: keep the window in Label Studio full of the most useful outputs, each of them as exactly one task.

An import is stored as a batch before it is sent, and sent at most once. Its state is `intent` (not sent yet), `sending`
(from just before the request leaves), then a final state. The state tells the next push how to finish an abandoned
batch. If the first owner resumes later, its compare-and-set fails.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from uuid import UUID

from labelloop.errors import Retriable
from labelloop.labelstudio.gateway import Gateway
from labelloop.process.settings import Settings
from labelloop.queue.batches import BatchState
from labelloop.queue.project import LoopProject
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import projects
from labelloop.store.tables import tasks as task_store
from sync.project import adjudicating
from sync.project.asks import ask_as_many, is_told
from sync.project.form import send_changed_form
from sync.project.project import check_is_ours, ensure_project, first_tasks, keep_order
from sync.pull.opinions import settle_opinions
from sync.pull.pull import catch_up
from sync.push.assign import assign
from sync.push.batches import PushReport, put_back, settle
from sync.push.budget import pass_over
from sync.push.claims import Claims
from sync.push.prelabel import prelabel
from sync.push.second import ask, close, reopen
from sync.push.sending import Sending

logger = logging.getLogger(__name__)


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
    report = over_budget + settle(database, gateway, project, settings.push_grace_s)
    renew = partial(prelabel, database, gateway, spec, project, settings.push_grace_s, checked)
    renewed, failure = _try(renew)
    report += renewed

    # decide and apply, batch by batch
    report += _fill(database, gateway, spec, project, Claims(database, spec, checked, at_least, first_look_s))
    tabs = cache(partial(gateway.views, project.id))
    # Before a renewal that fails: people take their tasks from their tabs.
    assign(database, gateway, spec, project, tabs)
    if spec.adjudicators and (check or report != PushReport()):
        adjudicating.keep_tab(database, gateway, spec, project, tabs())
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
    report = PushReport()
    with Sending(database, gateway, spec, project) as sending:

        def arrived() -> bool:
            nonlocal report
            done = sending.end()
            report += done
            return bool(done.quarantined)

        while (claim := claims.next(arrived)) is not None:
            report += PushReport(opened=claim.opened)
            if claim.again and (asked := ask(database, spec, claim.again)):
                report += PushReport(asked_again=asked)
                reopen(database, gateway, spec, project)
            if claim.batch_id is not None:
                try:
                    report += sending.send(sending.ready(claim.batch_id, claim.differs))
                except BaseException:
                    _undo(database, claim.batch_id)
                    raise
        return report + sending.end()


def _undo(database: Database, batch_id: UUID) -> None:
    """Let the outputs of a batch that was not sent wait again, since the batch before it was not taken."""
    with database.transaction() as conn:
        put_back(conn, batch_id, BatchState.INTENT, BatchState.ABANDONED, "the batch before it failed")
