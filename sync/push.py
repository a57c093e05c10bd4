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
from sync.batches import PushReport, adopt, in_force, put_back, settle
from sync.prelabel import prelabel, prelabel_result
from sync.project import ensure_project, keep_order, own

logger = logging.getLogger(__name__)

HOPES_S = 10.0
"""So long a batch whose answer is lost still fills its part of the window; then people get other tasks."""
MAX_UNCLEAR = 4
"""With so many batches whose answer is lost, another one would only be lost too."""
MANY = 5
"""So many of one batch refused, and none taken: the fault is not theirs."""
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
    else:
        keep_order(gateway, own(gateway, project), project["model_version"])

    report = settle(database, gateway, project, settings.push_grace_s)
    late: Retriable | None = None
    try:
        report += prelabel(database, gateway, spec, project, settings.push_grace_s)
    except Retriable as exc:
        late = exc  # new prelabels can wait, people cannot
    while (batch_id := _claim(database, spec)) is not None:
        report += _send_all(database, gateway, spec, project, batch_id)
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
        target = in_force(conn, spec.name)
        on_the_way = [batch for batch in batches.open_(conn, spec.name) if batch["kind"] == "tasks"]
        if len(on_the_way) >= MAX_UNCLEAR:
            return None
        open_rows = task_store.in_review(conn, spec.name, target)
        waiting = [_ranked(row) for row in pool.best(conn, spec.name, spec.queue.window, target)]

        # decide
        # An open task counts whatever ranked it: until the newest version has been through, nothing better is known.
        # One that has as many annotations as people are asked fills no place: who skipped it is not served it again.
        stands = [
            Ranked(row["output_id"], row["lane"], row["utility"])
            for row in open_rows
            if row["annotated"] < spec.overlap
        ]
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
        version = project["model_version"] if open_rows else target
        picked = set(chosen)
        places = priorities(
            [item for item in waiting if item.output_id in picked],
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
    left, refusals = [batch_id], {}
    while left:
        batch_id = left.pop()
        done, halves, refusal = _send(database, gateway, spec, project, batch_id)
        report += done
        left += halves
        if refusal is not None:
            refusals[batch_id] = refusal
    if len(refusals) >= MANY and not report.pushed:
        with database.transaction() as conn:
            for batch_id, why in refusals.items():
                put_back(conn, batch_id, "sending", "refused", str(why))
        raise Failed(
            f"Label Studio takes none of {len(refusals)} outputs of loop {spec.name!r}, so the fault is hardly theirs; "
            f"they wait again ({next(iter(refusals.values()))})"
        )
    for batch_id, why in refusals.items():
        report += _quarantine(database, spec, batch_id, why)
    return report


def _send(
    database: Database, gateway: Gateway, spec: LoopSpec, project: dict[str, Any], batch_id: UUID
) -> tuple[PushReport, list[UUID], Refused | None]:
    """What was pushed; of a batch that was refused, the halves to try; of a single output, the refusal."""
    with database.transaction() as conn:
        if not batches.send(conn, batch_id):
            return PushReport(), [], None
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
    database: Database, gateway: Gateway, spec: LoopSpec, project: dict[str, Any], batch_id: UUID, why: Refused
) -> None:
    """Raise Failed, the outputs waiting again, when they were refused by a form that is not ours any more."""
    if gateway.project(project["project_id"]).labels_xml == spec.labels_xml:
        return
    with database.transaction() as conn:
        put_back(conn, batch_id, "sending", "refused", str(why))
    raise Failed(
        f"the labeling config of project {project['project_id']} was changed in Label Studio, and it takes no "
        f"tasks of loop {spec.name!r} now; put the change into its labels.xml, or undo it ({why})"
    )


def _halves(database: Database, spec: LoopSpec, batch_id: UUID, why: Refused) -> list[UUID]:
    """Two batches in place of one of which nothing was imported."""
    with database.transaction() as conn:
        if not batches.end(conn, batch_id, "sending", "refused", str(why)):
            return []
        rows = batches.items(conn, batch_id)
        version = batches.get(conn, batch_id)["version"]
        halves = []
        for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            half = batches.intend(conn, spec.name, version, len(part))
            batches.hand_over(conn, batch_id, half, [row["output_id"] for row in part])
            halves.append(half)
        return halves


def _quarantine(database: Database, spec: LoopSpec, batch_id: UUID, why: Refused) -> PushReport:
    """The one output of a batch that Label Studio refuses for good."""
    with database.transaction() as conn:
        if not batches.end(conn, batch_id, "sending", "refused", str(why)):
            return PushReport()
        key = batches.items(conn, batch_id)[0]["key"]
        quarantined = batches.release(conn, batch_id, "quarantined", str(why))
        batches.forget_items(conn, batch_id)
    logger.warning("loop %s: output %s is quarantined: %s", spec.name, key, why)
    return PushReport(quarantined=quarantined)


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
