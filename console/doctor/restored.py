"""Check whether Label Studio was restored to a time before answers that are stored here."""

from __future__ import annotations

from console.doctor.findings import Finding, fault
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue.project import LoopProject
from labelloop.store.database import Conn
from labelloop.store.tables import annotations as annotation_store
from sync.pull.restored import LOOKED_AT, went_back


def restored(conn: Conn, studio: Gateway, loop: str, project: LoopProject) -> list[Finding]:
    """Return the fault, with what to do; nothing if there is none."""
    back = went_back(studio, project.id, annotation_store.newest_by_task(conn, project.instance, LOOKED_AT))
    if not back:
        return []
    return [
        fault(
            "restored",
            f"{len(back)} tasks in Label Studio lack answers that are stored here: it was restored to an earlier time",
            why="pull and push have stopped; all answers that are stored here stay, and count",
            repair=f"labelloop project recreate --loop {loop}  # or restore a newer backup of Label Studio",
            loop=loop,
        )
    ]
