"""Drafts: the tasks of a batch, with the data that annotators see and the prelabel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from labelloop.labeling.form_xml import shown_data
from labelloop.queue.batches import BatchItem
from labelloop.queue.lanes import Lane, announced_lane, reason_for
from labelloop.queue.prelabel import prelabel_result
from labelloop.queue.project import LoopProject
from labelloop.queue.steps import Step, steps_text
from labelloop.queue.tasks import BEST, STEPS, TaskDraft, likeliest, sign, task_data, task_reason
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.questions import chains
from labelloop.versions.version import PIPELINE


def task_drafts(
    conn: Conn,
    spec: LoopSpec,
    project: LoopProject,
    rows: Sequence[BatchItem],
    version: str,
    differs: Mapping[UUID, str],
) -> list[TaskDraft]:
    """Return a task for each item of a batch, in their order. `differs`: how selection found an output to differ.

    If the form shows the steps before an item, they are read now, and the task keeps them as they are.
    """
    ids = [row.output_id for row in rows]
    steps = chains.steps_before(conn, spec, ids) if spec.config.shows_steps else {}
    return [
        _draft(spec, project, row, version, differs.get(row.output_id, ""), steps.get(row.output_id, []))
        for row in rows
    ]


def _draft(
    spec: LoopSpec, project: LoopProject, row: BatchItem, version: str, differs: str, steps: Sequence[Step]
) -> TaskDraft:
    output_id, label = row.output_id, row.output_label
    signature = sign(project.signing_key, output_id)
    reason = row.why
    if row.champion == row.ranker == PIPELINE or row.lane == Lane.GOLD:
        reason = reason_for(spec, row.probabilities, row.evidence, row.output_confidence)
    why = task_reason(announced_lane(row.lane, spec), reason, differs)
    shown = shown_data(spec.config.data_fields, row.data)
    data = task_data(shown, output_id, row.batch_id, row.key, label, signature, why)
    if spec.config.quick is not None:
        data[BEST] = [{"value": label} for label in likeliest(row.probabilities or {}, spec.labels)]
    if spec.config.shows_steps:
        data[STEPS] = steps_text(steps, spec.name)
    return TaskDraft(
        output_id=output_id,
        data=data,
        result=prelabel_result(spec, row, row.data),
        priority=row.priority,
        version=version,
    )
