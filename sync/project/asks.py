"""Asks: have Label Studio ask as many people about each task as the loop's `overlap` says, also after a change of it.

When the number of a whole project changes, Label Studio counts all of its tasks anew: a larger number opens tasks again
that are answered here. So open tasks get the new number one by one first. A project in which some tasks ask several
people changes those alone, and the answered ones stay closed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from labelloop.labelstudio.answers import Project
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.tasks import Asking
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.opinions import further
from labelloop.store.tables import jobs, projects

logger = logging.getLogger(__name__)
ONE_BY_ONE = 2_000
"""If more tasks than this are open, as in an adopted project, all tasks are changed at once. Answered ones are closed
afterwards, and until then people may get one of them."""


def is_told(database: Database, spec: LoopSpec) -> bool:
    """Whether Label Studio was told the loop's `overlap`. A person may have changed it there since."""
    with database.transaction() as conn:
        return projects.asks(conn, spec.name) == spec.overlap


def ask_as_many(database: Database, gateway: Gateway, spec: LoopSpec, project: Project) -> Project:
    """Have Label Studio ask `overlap` people. A second call changes nothing, or completes one that was killed."""
    if project.overlap == spec.overlap and is_told(database, spec):
        return project
    with database.transaction() as conn:
        projects.set_asks(conn, spec.name, None)
        jobs.ask(conn, jobs.OPINIONS, spec.name)  # what has enough answers now is settled
        rows = further.asking(conn, spec.name, spec.overlap)
    if project.overlap != spec.overlap:
        logger.info("loop %s: %d people are asked about a task", spec.name, spec.overlap)
        project = _change(gateway, project, rows, spec.overlap)
    _correct(gateway, project, rows)
    with database.transaction() as conn:
        projects.set_asks(conn, spec.name, spec.overlap)
    return project


def _change(gateway: Gateway, project: Project, rows: Sequence[Asking], overlap: int) -> Project:
    """Change the number of the whole project."""
    answered = [row for row in rows if row.answered]
    if overlap > 1 and answered:
        project = gateway.update_project(project.id, maximum_annotations=1)  # each task asks one person now
        waiting = [row for row in rows if not row.answered]
        if len(waiting) <= ONE_BY_ONE:
            _correct(gateway, project, waiting)
            if not waiting:  # one task that asks several people, or the change would reach all of them
                gateway.reopen_task(answered[0].label_studio_id, overlap, done=True)
    return gateway.update_project(project.id, maximum_annotations=overlap)


def _correct(gateway: Gateway, project: Project, rows: Sequence[Asking]) -> None:
    """Change the tasks that ask another number of people than wanted, or are answered and still served."""
    there = gateway.opinions(project.id, [row.label_studio_id for row in rows]) if rows else {}
    for row in rows:
        if row.label_studio_id not in there:
            continue  # it was deleted
        overlap, given, done = there[row.label_studio_id]
        if row.answered:
            if not done:
                gateway.reopen_task(row.label_studio_id, max(1, given), done=True)
        elif overlap != row.wanted or (done and given < row.wanted):
            gateway.reopen_task(row.label_studio_id, row.wanted, done=given >= row.wanted)
