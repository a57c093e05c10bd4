"""Second opinions: the answers that the newest version doubts most are asked of one person more; and so is what was
answered so that nobody can read it.

Written down before Label Studio is told. Whether it was told is read off Label Studio itself: what was lost, or undone
by a change of the whole project, the next push says again; and saying it twice is saying it once.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import jobs, projects
from labelloop.store.tables import tasks as task_store


def ask(database: Database, spec: LoopSpec, output_ids: Sequence[UUID]) -> int:
    """These answered outputs wait for one more opinion; returns how many. One whose answer is gone does not."""
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "answers")
        asked = task_store.ask_again(conn, output_ids)
        if asked:
            jobs.ask(conn, jobs.PRELABEL, spec.name)  # while they stood answered nobody renewed their predictions
    return asked


def reopen(database: Database, gateway: Gateway, spec: LoopSpec, project: LoopProject) -> None:
    """Label Studio serves what waits for one more opinion, or for an answer in place of one that cannot be read.

    Where an answer can be read after all, it asks as many people as of the other tasks again.
    """
    with database.transaction() as conn:
        rows = task_store.asked_again(conn, spec.name, spec.overlap)
    if not rows:
        return
    there = gateway.opinions(project.id, [row.label_studio_id for row in rows])
    rows = [row for row in rows if row.label_studio_id in there]  # the others' tasks were deleted
    # Written down before more people are asked, and after fewer are: so a push that is killed is made up for.
    with database.transaction() as conn:
        task_store.record_asked_more(conn, {row.output_id: row.more for row in rows if row.more > row.asked_more})
    for row in rows:
        (overlap, given, done), wanted = there[row.label_studio_id], row.wanted
        if given < wanted and (done or overlap < wanted):
            gateway.reopen_task(row.label_studio_id, wanted)
        elif overlap > wanted and row.asked_more > row.more:
            gateway.reopen_task(row.label_studio_id, wanted, done=given >= wanted)
    with database.transaction() as conn:
        task_store.record_asked_more(conn, {row.output_id: row.more for row in rows if row.more < row.asked_more})
