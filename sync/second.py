"""Second opinions: the answers that the newest version doubts most are asked of one person more.

Written down before Label Studio is told. Whether it was told is read off Label Studio itself: what was lost, or undone
by a change of the whole project, the next push says again; and saying it twice is saying it once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from labelloop.labelstudio.gateway import Gateway
from labelloop.spec import LoopSpec
from labelloop.store import jobs, projects
from labelloop.store import tasks as task_store
from labelloop.store.database import Database


def ask(database: Database, spec: LoopSpec, output_ids: Sequence[UUID]) -> int:
    """These answered outputs wait for one more opinion; returns how many. One whose answer is gone does not."""
    with database.transaction() as conn:
        projects.hold(conn, spec.name, "answers")
        asked = task_store.ask_again(conn, output_ids)
        if asked:
            jobs.ask(conn, jobs.PRELABEL, spec.name)  # while they stood answered nobody renewed their predictions
    return asked


def reopen(database: Database, gateway: Gateway, project: Mapping[str, Any]) -> None:
    """Label Studio serves what waits for one more opinion."""
    with database.transaction() as conn:
        wanted = task_store.asked_again(conn, project["loop"])
    if not wanted:
        return
    there = gateway.opinions(project["project_id"], wanted)
    for task_id, (overlap, given, done) in sorted(there.items()):
        if given < wanted[task_id] and (done or overlap < wanted[task_id]):
            gateway.reopen_task(task_id, wanted[task_id])
