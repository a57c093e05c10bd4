"""Second opinions: ask one more person about the most doubtful answers, and about answers that cannot be read.

The opposite too: a task that was answered elsewhere, or by an adjudicator, is not served any more.

Both are stored before Label Studio is told. Whether Label Studio knows is read from its tasks: the next push repeats
what was lost, or undone by a change of the whole project. Telling it twice has the effect of telling it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.queue.tasks import AskedAgain
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.opinions import further
from labelloop.store.pipelines import direct
from labelloop.store.tables import jobs, projects
from labelloop.store.tables import tasks as task_store


def ask(database: Database, spec: LoopSpec, output_ids: Sequence[UUID]) -> int:
    """Let these answered outputs wait for one more opinion, except those without an answer by now; returns how many."""
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "answers")
        asked = task_store.ask_again(conn, output_ids)
        if asked:
            jobs.ask(conn, jobs.PRELABEL, spec.name)  # nobody renewed their predictions while they were answered
    return asked


def reopen(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> None:
    """Let Label Studio serve the tasks that wait for one more opinion, or for an answer that can be read.

    If an answer can be read after all, or no further opinion is wanted any more, its task asks fewer people again.
    """
    # gather
    with database.transaction() as conn:
        rows = task_store.asked_again(conn, spec.name, spec.overlap)
    if not rows:
        return
    there = gateway.opinions(project.id, [row.label_studio_id for row in rows])

    # decide
    rows = [row for row in rows if row.label_studio_id in there]  # the others' tasks were deleted
    more = {row.output_id: row.more for row in rows if row.more > row.asked_more}
    fewer = {row.output_id: row.more for row in rows if row.more < row.asked_more}
    raised = {row.output_id: row.overlap for row in rows if row.overlap > row.told_overlap}
    lowered = {row.output_id: row.overlap for row in rows if row.overlap < row.told_overlap}

    # apply: stored before more people are asked, and after fewer are, so that the next push completes a killed one
    with database.transaction() as conn:
        task_store.record_asked_more(conn, more)
        further.record_told(conn, raised)
    for row in rows:
        _reopen(gateway, row, *there[row.label_studio_id])
    with database.transaction() as conn:
        task_store.record_asked_more(conn, fewer)
        further.record_told(conn, lowered)


def close(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> None:
    """Have Label Studio serve no task that was answered elsewhere or by an adjudicator, and serve it again if that
    answer was taken back.

    The task stays in the project, marked as done, with the annotations that it has.
    """
    with database.transaction() as conn:
        rows = direct.to_tell(conn, spec.name, spec.overlap)
    there = gateway.opinions(project.id, [row.label_studio_id for row in rows]) if rows else {}
    for row in rows:
        if row.label_studio_id in there:
            # Label Studio serves a task again that fewer people than its number have answered, at its next annotation.
            given = there[row.label_studio_id][1]
            people = max(1, given) if row.answered else row.wanted
            gateway.reopen_task(row.label_studio_id, people, done=row.answered)
        with database.transaction() as conn:
            direct.told(conn, row.output_id, answered=row.answered)


def _reopen(gateway: Gateway, row: AskedAgain, overlap: int, given: int, done: bool) -> None:
    """Have Label Studio ask as many people as are wanted, unless it does: it has `given` opinions of `overlap`."""
    wanted = row.wanted
    if given < wanted and (done or overlap < wanted):
        gateway.reopen_task(row.label_studio_id, wanted)
    elif overlap > wanted and (row.asked_more > row.more or row.told_overlap > row.overlap):
        gateway.reopen_task(row.label_studio_id, wanted, done=given >= wanted)
