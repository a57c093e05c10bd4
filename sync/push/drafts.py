"""Drafts: the tasks of a batch, with the data that annotators see and the prelabel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from labelloop.labeling import form
from labelloop.labeling.form_xml import shown_data
from labelloop.queue import blind
from labelloop.queue.batches import BatchItem
from labelloop.queue.lanes import Lane, announced_lane, reason_for
from labelloop.queue.order import Ranked
from labelloop.queue.prelabel import prelabel_result
from labelloop.queue.project import LoopProject
from labelloop.queue.steps import Step, steps_text
from labelloop.queue.tasks import BEST, STEPS, OpenTask, TaskDraft, likeliest, sign, task_data, task_reason
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.pipelines import blind_tasks
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
        reason = reason_for(spec, row.probabilities, row.evidence, row.output_confidence, label)
    guesses = spec.prelabel.min_margin < 1 and not row.blind
    why, statistic = task_reason(announced_lane(row.lane, spec), reason, differs, guesses=guesses)
    shown = shown_data(spec.config.data_fields, row.data)
    told = None if row.blind else label
    data = task_data(shown, output_id, row.batch_id, row.key, told, signature, why, statistic)
    result = prelabel_result(spec, row, row.data)
    if spec.config.shows_best:
        data[BEST] = _best(spec, row, guessed=bool(result))
    if spec.config.shows_steps:
        data[STEPS] = steps_text(steps, spec.name)
    return TaskDraft(
        output_id=output_id,
        data=data,
        result=result,
        priority=row.priority,
        version=version,
    )


def with_draws(conn: Conn, spec: LoopSpec, rows: Sequence[BatchItem]) -> list[BatchItem]:
    """Draw which of these outputs are shown without a prelabel, store the draws, and return the outputs with them."""
    drawn = draw_blind(conn, spec, rows)
    return [replace(row, blind=row.blind or row.output_id in drawn) for row in rows]


def draw_blind(conn: Conn, spec: LoopSpec, rows: Sequence[BatchItem | Ranked]) -> set[UUID]:
    """Draw which of these outputs are shown without a prelabel, and store the draws; return those outputs."""
    shares = {lane: blind.share(spec, lane) for lane in {row.lane for row in rows}}
    drawn = {row.output_id: shares[row.lane] for row in rows if blind.is_drawn(spec, row.key, shares[row.lane])}
    if drawn:
        blind_tasks.draw(conn, spec.name, drawn, blind.form_sha256(spec))
    return set(drawn)


def shown_result(spec: LoopSpec, row: OpenTask, data: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the prelabel of a task. If somebody has answered it, that is the pipeline's own answer.

    The champion may have learned that person's answer, and would repeat it to the next person.
    """
    shown = replace(row, label=row.output_label, champion=PIPELINE) if row.annotated else row
    return prelabel_result(spec, shown, data)


def _best(spec: LoopSpec, row: BatchItem, *, guessed: bool) -> list[dict[str, str]]:
    """Return the labels that the form shows first, as choices, the most probable first.

    `guessed`: whether the form shows the guess. It is then the first label, and the pipeline's answer is the second.
    """
    likely = likeliest(row.probabilities or {}, spec.labels, form.BEST)
    if row.blind:  # the same for all of these tasks
        return form.best_choices(spec.labels[: form.BEST], spec.definitions)
    if spec.config.quick is not None:  # the former form gives its own keys to them
        return [{"value": label} for label in likely[:3]]
    answers = [label for label in (row.label, row.output_label) if label in spec.labels]
    labels = dict.fromkeys([*answers, *likely] if guessed else [*likely, *sorted(answers)])
    return form.best_choices(list(labels)[: form.BEST], spec.definitions)
