"""Pull: turn the answers in Label Studio into annotation versions, and with them into feedback and answers.

The doorbell only asks for a pull; the pull reads the changes from Label Studio, by each task's time of change. That
time is Label Studio's own, and is compared with no other clock. A pull costs Label Studio processor time that its
annotators need. So a worker remembers which changes it has seen, and reads only new ones. A full sweep finds the rest.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from labelloop.answers.people import Person
from labelloop.labelstudio.faults import MOST_FAULTS
from labelloop.labelstudio.gateway import Gateway
from labelloop.labelstudio.listing import BEFORE_ALL, PAGE
from labelloop.labelstudio.tasks import CHANGES
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import NEVER, Task
from labelloop.reading.ids import TaskId, UserId
from labelloop.spec.loop import LoopSpec
from labelloop.store.alerts import found
from labelloop.store.alerts import rows as alert_rows
from labelloop.store.database import Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import projects
from labelloop.store.tables import tasks as task_store
from sync.alerts.answers import watch_many_deleted
from sync.alerts.form import look_at_form
from sync.alerts.items import restore_items
from sync.project.project import check_is_ours
from sync.pull.distrust import settle_decisions
from sync.pull.restored import check_not_older
from sync.pull.settle import AT_ONCE, is_about_many, settle_alerts
from sync.pull.sweep import confirm, sweep, too_many
from sync.pull.take_in import Pull, PullReport

logger = logging.getLogger(__name__)

MARGIN = timedelta(seconds=60)
"""Label Studio commits a change later than the time that it stores with it, by less than this."""
USUALLY = timedelta(seconds=2)
"""The same delay, in nearly all cases."""
LATE_EVERY_S = 60.0
"""Seconds between two reads of changes that were committed late, while there are changes."""
CHECK_EVERY_S = 900.0
"""Seconds between two checks of a push that the project is ours, while nothing fails. Each write has its own check."""
LOOK_EVERY_S = 30.0
"""Seconds between two looks at the project: whether it is ours, its form, and its number of tasks. Label Studio sends
no webhook for most of these, and changes no task.
"""


@dataclass
class Memory:
    """A worker's memory of its earlier pulls of a loop. An empty one only makes the next pull longer."""

    since: datetime | None = None
    """The next pull reads changes after this time; None for the time of the bookmark."""
    seen: dict[TaskId, datetime] = field(default_factory=dict)
    """The time of the last change, by task, for tasks that changed lately."""
    changed_at: float = 0.0
    """When a pull last found a change, by this machine's clock; 0 if no change can come late any more."""
    late_at: float = 0.0
    """When a pull last read the changes that were committed late."""
    looked_at: float = -math.inf
    """When the project was last looked at."""
    form_right_at: float | None = None
    """When its form was last found to be the loop's; None if it is not, or was not looked at."""
    users: dict[UserId, Person] = field(default_factory=dict)
    """Label Studio's users, as far as they were asked for."""
    form_is_wrong: bool = False
    """Whether the last look found a form that the loop never had. The next push then sends the loop's form."""
    others: int | None = None
    """Number of tasks in the project, beyond those that are stored; None before the first look."""
    tried_at: float = -math.inf
    """When the tasks were last tried again of which Label Studio cannot show the annotations."""

    def note(self, changes: Mapping[TaskId, datetime]) -> set[TaskId]:
        """Remember these changes, and return the tasks with a new one. The next pull begins after them."""
        new = {id_ for id_, at in changes.items() if self.seen.get(id_) != at}
        self.seen |= changes
        if new:
            self.changed_at = time.monotonic()
        if changes:
            self.since = max(changes.values()) - (USUALLY if new else timedelta())
        return new


def pull(
    database: Database,
    gateway: Gateway,
    spec: LoopSpec,
    full: bool = False,
    confirm_deletions: bool = False,
    memory: Memory | None = None,
) -> PullReport:
    """Store all answers that Label Studio has and Postgres has not. A second call changes nothing.

    `full`: compare every task, which finds deleted tasks and duplicates too. `confirm_deletions`: all missing tasks
    were deleted on purpose. `memory`: of the caller's earlier pulls, which makes this one short; drop it if this one
    raises.
    """
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
        doorbells = annotation_store.doorbells(conn, spec.name)
    if project is None or project.project_id is None:
        return PullReport()
    memory = memory or Memory()
    pull = Pull(database, gateway, spec, project, memory.users)
    gateway.remember_faults(pull.project_id, pull.faulty)
    report = PullReport()
    if doorbells or memory.form_is_wrong or time.monotonic() - memory.looked_at > LOOK_EVERY_S:
        report += _look(pull, memory, confirm_deletions)
    report += _again(pull, memory)
    report += _settle(pull)
    report += pull.read_again()
    report += _changed(pull, memory)
    if doorbells:
        report += _check_exist(pull, doorbells)
    if full:
        pull.upsert_reviewers()
        report += sweep(pull, confirm_deletions)
        settle_decisions(database, spec)
    if report.outputs or full:
        logger.info("pull", extra={"loop": spec.name, "report": report})
    return report


def _again(pull: Pull, memory: Memory) -> PullReport:
    """Try the tasks again that could not be read."""
    if not pull.faulty or time.monotonic() - memory.tried_at < LATE_EVERY_S:
        return PullReport()
    memory.tried_at = time.monotonic()
    tasks = pull.gateway.tasks(pull.project_id, pull.faulty)
    return pull.take_in(tasks, gone=pull.faulty.keys() - {task.id for task in tasks})


def _look(pull: Pull, memory: Memory, confirm_deletions: bool) -> PullReport:
    """Look at the project: raise unless it is ours and as new as this database, open an alert if its form was changed,
    and find deleted tasks.
    """
    memory.looked_at = began = time.monotonic()
    standing = check_is_ours(pull.gateway, pull.project)
    if not confirm_deletions:
        check_not_older(pull.database, pull.gateway, pull.spec, pull.project)
    is_right = look_at_form(pull.database, pull.spec, pull.instance, standing, memory.form_right_at)
    memory.form_is_wrong, memory.form_right_at = not is_right, began if is_right else None
    with pull.database.transaction() as conn:
        others = standing.tasks - found.stored_tasks(conn, pull.instance)
    fewer, memory.others = memory.others is not None and others < memory.others, others
    if not fewer:
        return PullReport()
    with pull.database.transaction() as conn:
        opened = found.opened_tasks(conn, pull.instance)
    return _deleted(pull, opened - pull.gateway.task_ids(pull.project_id), all_=True)


def _settle(pull: Pull) -> PullReport:
    """Carry out what people decided about alerts."""
    report = PullReport(answers=settle_alerts(pull.database, pull.spec).answers)
    with pull.database.transaction() as conn:
        many = [alert.id for alert in alert_rows.unsettled(conn, pull.spec.name, AT_ONCE) if is_about_many(alert)]
    if many:
        report += sweep(pull, confirm_deletions=True)
        with pull.database.transaction() as conn:
            alert_rows.set_settled(conn, many)
    restore_items(pull.database, pull.gateway, pull.spec, pull.project)
    return report


def catch_up(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> None:
    """Adopt all tasks that Label Studio has, if this database was restored and nothing was compared since.

    Raises LabelStudioIsOlder if Label Studio was.
    """
    with database.transaction() as conn:
        restored = projects.was_restored(conn, spec.name)
    if restored:
        pull(database, gateway, spec, full=True)
    else:
        check_not_older(database, gateway, spec, project)


def _changed(pull: Pull, memory: Memory) -> PullReport:
    """Take in the tasks that changed since the last pull."""
    if memory.since is None:
        return _all(pull, memory)
    if memory.changed_at and time.monotonic() - memory.late_at >= LATE_EVERY_S:
        return _late(pull, memory)
    page = pull.gateway.changed_tasks(pull.project_id, memory.since)
    if len(page) == PAGE:
        return _all(pull, memory)
    new = memory.note({task.id: task.updated_at for task in page if task.updated_at != NEVER})
    new |= {task.id for task in page if task.fault and task.id not in pull.faulty}
    return _take_in(pull, [task for task in page if task.id in new])


def _late(pull: Pull, memory: Memory) -> PullReport:
    """Take in tasks from the margin before the bookmark on, and move the bookmark to the newest change."""
    bookmark, began = pull.project.bookmark, time.monotonic()
    changes = {} if bookmark is None else pull.gateway.changes(pull.project_id, bookmark - MARGIN)
    if bookmark is None or len(changes) >= CHANGES - MOST_FAULTS:  # faulty tasks are not among them
        return _all(pull, memory)
    settled = began - memory.changed_at > MARGIN.total_seconds()
    new = memory.note(changes)
    memory.seen, memory.late_at = changes, began
    if settled and not new:
        memory.changed_at = 0.0
    return _take_in(pull, pull.gateway.tasks(pull.project_id, new), max(changes.values(), default=None))


def _all(pull: Pull, memory: Memory) -> PullReport:
    """Take in tasks like `_late`, page by page without a memory. The newest change now is the next bookmark.

    Label Studio is asked for the next page while this one is stored.
    """
    report = PullReport()
    began, newest = time.monotonic(), pull.gateway.newest_change(pull.project_id)
    memory.since, memory.late_at = NEVER if newest is None else newest - USUALLY, began
    if newest is None:
        return report
    bookmark = pull.project.bookmark
    since = None if bookmark is None else bookmark - MARGIN
    with ThreadPoolExecutor(1, "next page") as ahead:
        read = partial(pull.gateway.changed_tasks, pull.project_id, since)
        coming: Future[list[Task]] | None = ahead.submit(read, BEFORE_ALL)
        while coming is not None:
            page = coming.result()
            coming = ahead.submit(read, page[-1].id) if len(page) == PAGE else None
            report += pull.take_in(page, bookmark=newest if coming is None else None)
            memory.seen |= {task.id: task.updated_at for task in page if task.updated_at > newest - MARGIN}
    memory.changed_at = began
    return report


def _take_in(pull: Pull, tasks: Sequence[Task], bookmark: datetime | None = None) -> PullReport:
    """Take in tasks, and move the bookmark with the last page. No tasks and no bookmark cost no transaction."""
    report = PullReport()
    for start in range(0, len(tasks), PAGE):
        last = start + PAGE >= len(tasks)
        report += pull.take_in(tasks[start : start + PAGE], bookmark=bookmark if last else None)
    if bookmark is not None and not tasks:
        with pull.database.transaction() as conn:
            projects.set_bookmark(conn, pull.spec.name, bookmark)
    return report


def _check_exist(pull: Pull, doorbells: Mapping[TaskId, datetime]) -> PullReport:
    """Withdraw those of these tasks that do not exist any more."""
    report = _deleted(pull, set(doorbells) - pull.gateway.there(pull.project_id, doorbells))
    with pull.database.transaction() as conn:
        annotation_store.answer_doorbells(conn, pull.spec.name, doorbells)
    return report


def _deleted(pull: Pull, ids: set[TaskId], *, all_: bool = False) -> PullReport:
    """Withdraw the outputs of these tasks, which are gone. `all_`: no other task of the loop is."""
    with pull.database.transaction() as conn:
        gone = list(task_store.by_label_studio_id(conn, pull.instance, sorted(ids)).values())
        known = len(task_store.ids(conn, pull.spec.name)) if gone else 0
    if not gone:
        return PullReport()
    if too_many(len(gone), known):
        # An error here would keep the doorbells, and every later pull would fail before its sweep.
        logger.warning("%d tasks are gone; the next sweep decides", len(gone), extra={"loop": pull.spec.name})
        if all_:
            with pull.database.transaction() as conn:
                watch_many_deleted(conn, pull.spec, pull.instance, len(gone), known)
        return PullReport()
    confirm(pull)
    with pull.database.transaction() as conn:
        projects.lock_hop(conn, pull.spec.name, "answers")
        return pull.withdraw(conn, gone)
