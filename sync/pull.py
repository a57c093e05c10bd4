"""Pull: what people did in Label Studio becomes annotation versions, and with them feedback and answers.

The doorbell only says where to look; the truth is read back. What it does not say is found by the time of the last
change, which is Label Studio's own and compared with nothing else; a full sweep finds the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from labelloop.labelstudio.gateway import PAGE, Gateway
from labelloop.spec import LoopSpec
from labelloop.store import annotations as annotation_store
from labelloop.store import projects
from labelloop.store import tasks as task_store
from labelloop.store.database import Database
from sync.project import own
from sync.sweep import confirm, sweep, too_many
from sync.take_in import Pull, PullReport

logger = logging.getLogger(__name__)

MARGIN = timedelta(seconds=60)
"""Label Studio commits a change later than the time that it gives it: so far back every look begins."""


def pull(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    full: bool = False,
    only_rung: bool = False,
    confirm_deletions: bool = False,
) -> PullReport:
    """Bring Postgres up to what Label Studio has. Twice is once.

    `only_rung`: only where the doorbell rang. `full`: every task is looked at, so that deleted ones and duplicates are
    found too. `confirm_deletions`: a full pull believes that all the tasks that are missing were deleted on purpose.
    """
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
        rung = annotation_store.rung(conn, spec.name)
    if project is None or project["project_id"] is None:
        return PullReport()
    own(gateway, project)
    pull = Pull(database, gateway, spec, project)
    report = PullReport()
    seen: set[int] = set()
    if not only_rung:
        report, seen = _changed(pull)
    if rung:
        report += _rung(pull, rung, seen)
    if full:
        report += sweep(pull, confirm_deletions)
    if report.outputs or full:
        logger.info("pull", extra={"loop": spec.name, "report": report})
    return report


def _changed(pull: Pull) -> tuple[PullReport, set[int]]:
    """Everything that changed since the bookmark; the next one is what was the newest change before we looked."""
    report, seen = PullReport(), set[int]()
    newest = pull.gateway.newest_change(pull.project_id)
    if newest is None:
        return report, seen
    bookmark = pull.project["bookmark"]
    since = None if bookmark is None else bookmark - MARGIN
    after = 0
    while True:
        page = pull.gateway.changed_tasks(pull.project_id, since, after)
        last = len(page) < PAGE
        report += pull.take_in(page, bookmark=newest if last else None)
        seen |= {task.id for task in page}
        if last:
            return report, seen
        after = page[-1].id


def _rung(pull: Pull, rung: Mapping[int, datetime], seen: set[int]) -> PullReport:
    """Where the doorbell rang; a task that is not there any more was deleted."""
    report = PullReport()
    ids = sorted(set(rung) - seen)
    found = pull.gateway.tasks(pull.project_id, ids)
    for start in range(0, len(found), PAGE):
        report += pull.take_in(found[start : start + PAGE])
    report += _deleted(pull, set(ids) - {task.id for task in found})
    with pull.database.transaction() as conn:
        annotation_store.answer_doorbells(conn, pull.spec.name, rung)
    return report


def _deleted(pull: Pull, ids: set[int]) -> PullReport:
    with pull.database.transaction() as conn:
        gone = list(task_store.by_label_studio_id(conn, pull.instance, sorted(ids)).values())
        known = len(task_store.ids(conn, pull.spec.name)) if gone else 0
    if not gone:
        return PullReport()
    if too_many(len(gone), known):
        # Raising here would keep the rings, and with them every later pull from coming as far as its sweep.
        logger.warning(
            "%d tasks that the doorbell named are gone: left to the sweep", len(gone), extra={"loop": pull.spec.name}
        )
        return PullReport()
    confirm(pull)
    with pull.database.transaction() as conn:
        projects.hold(conn, pull.spec.name, "answers")
        return pull.withdraw(conn, gone)
