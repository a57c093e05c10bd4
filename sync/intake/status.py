"""The status of an output, as a pipeline reads it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from labelloop.labeling import results
from labelloop.outputs.output import OutputState
from labelloop.spec.loop import LoopSpec
from labelloop.store.questions.chains import CorrectedStep
from labelloop.store.tables.outputs import Status


def status_json(
    spec: LoopSpec, row: Status, comments: Sequence[str], unreadable: Sequence[str], rests_on: Sequence[CorrectedStep]
) -> dict[str, Any]:
    """Return the JSON of an output. The reviewers' answer and comments are in it only in the state `answered`.

    `row`: the output with its newest answer. `unreadable`: why answers to it could not be read. `rests_on`:
    the earlier steps of its trace that people corrected.
    """
    answered = row.state == OutputState.ANSWERED
    label = row.answer_label if answered else None
    approval = _approval(spec, label, row.label)
    if answered and label is None and row.rejected:
        approval = False
    return {
        "key": row.key,
        "id": row.id,
        "loop": row.loop,
        "state": row.state,
        "lane": row.lane,
        "model_label": row.label,
        "model_confidence": row.confidence,
        "model_version": row.model_version,
        "source": row.source,
        "trace": row.trace,
        "step": row.step,
        "spec_version": row.spec_version,
        "rests_on": [asdict(step) for step in rests_on],
        "label": label,
        "approval": approval,
        "correction": None if approval is not False else label,
        "comments": list(comments) if answered else [],
        "agreement": row.agreement if answered else None,
        "reviewers": row.reviewers if answered else 0,
        "unreadable": list(unreadable),
        "received_at": row.received_at.isoformat(),
        "answered_at": row.resolved_at.isoformat() if answered and row.resolved_at else None,
    }


def _approval(spec: LoopSpec, label: str | None, model_label: str | None) -> bool | None:
    """Whether the final label confirms the model's, by the same rule as in feedback; None if either is missing."""
    if label is None or model_label is None:
        return None
    approval = results.read(spec.config, results.encode(spec.config, label, model_label), model_label).approval
    return label == model_label if approval is None else approval
