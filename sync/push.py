"""Push: the window in Label Studio is kept full of the most useful outputs, each of them exactly one task.

An import is written down before it is sent and sent at most once: `intent` (not sent yet), `sending` (from the moment
before the request leaves), then what became of it. Whoever finds a batch that its owner has left knows by this what to
do, and an owner that wakes up late finds its right to go on gone.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from labelloop.errors import Conflict, Failed, Refused, Retriable, Unreachable
from labelloop.labelstudio.gateway import Gateway
from labelloop.settings import Settings
from labelloop.spec import LoopSpec
from labelloop.store import batches, pool, projects
from labelloop.store import tasks as task_store
from labelloop.store.database import Database
from labelloop.tasks import MAX_BATCH, Ranked, TaskDraft, choose, priorities, shares, sign, task_data, useful
from labelloop.versions import shown_version
from sync.batches import PushReport, adopt, in_force, put_back, settle
from sync.prelabel import prelabel, prelabel_result
from sync.project import ensure_project

logger = logging.getLogger(__name__)

HOPES_S = 10.0
"""So long a batch whose answer is lost still fills its part of the window; then people get other tasks."""
MAX_UNCLEAR = 4
"""With so many batches whose answer is lost, another one would only be lost too."""
MANY = 20
"""So many refused in a row, and none taken: the fault is not theirs."""
RECORDS_FAULT = frozenset({400, 413, 422})
"""Refusals that say something about what was sent; others are about us, or about the project."""


def push(database: Database, gateway: Gateway, spec: LoopSpec, settings: Settings) -> PushReport:
    """Fill the window. Twice is once; killed at any point, the next push brings it to the same end.

    Raises Retriable after having done what could be done.
    """
    with database.transaction() as conn:
        project = projects.get(conn, spec.name)
    if project is None or project["project_id"] is None:
        project = ensure_project(database, gateway, spec, settings)

    report = settle(database, gateway, project, settings.push_grace_s)
    late: Retriable | None = None
    try:
        report += prelabel(database, gateway, spec, project, settings.push_grace_s)
    except Retriable as exc:
        late = exc  # new prelabels can wait, people cannot
    while (batch_id := _claim(database, spec)) is not None:
        report += _send_all(database, gateway, spec, project, batch_id)
        if report.quarantined >= MANY and not report.pushed:
            raise Failed(
                f"Label Studio takes no output of loop {spec.name!r}: {report.quarantined} are quarantined, with its "
                "words as the reason; it is stopped here"
            )
    if late is not None:
        raise late
    report += prelabel(database, gateway, spec, project, settings.push_grace_s)
    if report != PushReport():
        logger.info("push", extra={"loop": spec.name, "report": report})
    return report


def _claim(database: Database, spec: LoopSpec) -> UUID | None:
    """Write the next batch down; None when the window is full, or nothing waits."""
    with database.transaction() as conn:
        projects.hold(conn, spec.name, "push")

        # gather
        project = projects.get(conn, spec.name)
        assert project is not None
        champion, ranker = in_force(conn, spec.name)
        on_the_way = [batch for batch in batches.open_(conn, spec.name) if batch["kind"] == "tasks"]
        if len(on_the_way) >= MAX_UNCLEAR:
            return None
        open_rows = task_store.in_review(conn, spec.name, champion, ranker)
        waiting = [_ranked(row) for row in pool.best(conn, spec.name, spec.queue.window, champion, ranker)]

        # decide
        # An open task counts whatever ranked it: until the newest version has been through, nothing better is known.
        stands = [Ranked(row["output_id"], row["lane"], row["utility"]) for row in open_rows]
        chosen = choose(
            waiting,
            stands,
            window=spec.queue.window,
            shares=shares(spec.queue.audit, spec.queue.holdout),
            pushed=task_store.pushed(conn, spec.name),
            in_flight=sum(batch["size"] for batch in on_the_way if batch["age_s"] < HOPES_S),
        )[:MAX_BATCH]
        if not chosen:
            return None
        # Tasks of another version than the others are served last, whatever their score.
        version = project["model_version"] if open_rows else shown_version(champion, ranker)
        places = priorities(
            [item for item in waiting if item.output_id in set(chosen)],
            useful([*waiting, *stands], spec.queue.window),
            [row["priority"] for row in open_rows],
            draw=version,
        )

        # apply
        batch_id = batches.intend(conn, spec.name, version, len(chosen))
        if pool.take(conn, batch_id, places) != len(chosen) or batches.start(conn, batch_id) != len(chosen):
            raise Conflict(f"the pool of loop {spec.name!r} and its outputs' states do not fit together")
        return batch_id


def _send_all(
    database: Database, gateway: Gateway, spec: LoopSpec, project: dict[str, Any], batch_id: UUID
) -> PushReport:
    """Send a batch; where Label Studio refuses it, its halves, down to the outputs that are at fault."""
    report = PushReport()
    left = [batch_id]
    while left:
        done, halves = _send(database, gateway, spec, project, left.pop())
        report += done
        left += halves
    return report


def _send(
    database: Database, gateway: Gateway, spec: LoopSpec, project: dict[str, Any], batch_id: UUID
) -> tuple[PushReport, list[UUID]]:
    with database.transaction() as conn:
        if not batches.send(conn, batch_id):
            return PushReport(), []
        rows = batches.items(conn, batch_id)
        version = batches.get(conn, batch_id)["version"]
    drafts = [_draft(spec, project, row, version) for row in rows]
    try:
        ids = gateway.import_tasks(project["project_id"], drafts)
    except Unreachable as exc:
        with database.transaction() as conn:
            put_back(conn, batch_id, "sending", "abandoned", str(exc))
        raise
    except Refused as exc:
        if exc.status not in RECORDS_FAULT:
            with database.transaction() as conn:
                put_back(conn, batch_id, "sending", "refused", str(exc))
            raise
        return _refused(database, gateway, spec, project, batch_id, exc)
    with database.transaction() as conn:
        pushed, _ = adopt(
            conn, project, batch_id, {draft.output_id: id_ for draft, id_ in zip(drafts, ids, strict=True)}
        )
    return PushReport(pushed=pushed), []


def _refused(
    database: Database, gateway: Gateway, spec: LoopSpec, project: dict[str, Any], batch_id: UUID, why: Refused
) -> tuple[PushReport, list[UUID]]:
    """Nothing of the batch was imported. One output alone is quarantined; of more, each half is tried by itself."""
    if gateway.project(project["project_id"]).labels_xml != spec.labels_xml:
        with database.transaction() as conn:
            put_back(conn, batch_id, "sending", "refused", str(why))
        raise Failed(
            f"the labeling config of project {project['project_id']} was changed in Label Studio, and it takes no "
            f"tasks of loop {spec.name!r} now; put the change into its labels.xml, or undo it ({why})"
        )
    with database.transaction() as conn:
        if not batches.end(conn, batch_id, "sending", "refused", str(why)):
            return PushReport(), []
        rows = batches.items(conn, batch_id)
        if len(rows) == 1:
            quarantined = batches.release(conn, batch_id, "quarantined", str(why))
            batches.forget_items(conn, batch_id)
            logger.warning("loop %s: output %s is quarantined: %s", spec.name, rows[0]["key"], why)
            return PushReport(quarantined=quarantined), []
        version = batches.get(conn, batch_id)["version"]
        halves = []
        for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            half = batches.intend(conn, spec.name, version, len(part))
            batches.hand_over(conn, batch_id, half, [row["output_id"] for row in part])
            halves.append(half)
        return PushReport(), halves


def _draft(spec: LoopSpec, project: dict[str, Any], row: dict[str, Any], version: str) -> TaskDraft:
    output_id, label = row["output_id"], row["output_label"]
    signature = sign(project["signing_key"], output_id)
    return TaskDraft(
        output_id=output_id,
        data=task_data(row["data"], output_id, row["batch_id"], row["key"], label, signature),
        result=prelabel_result(spec, row),
        priority=row["priority"],
        version=version,
    )


def _ranked(row: dict[str, Any]) -> Ranked:
    return Ranked(row["output_id"], row["lane"], row["utility"], row["fresh"])
