"""The status of outputs, as a pipeline reads it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from labelloop.labeling import results
from labelloop.outputs.output import ASKED, SETTLED, OutputState
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.pipelines import outcomes
from labelloop.store.pipelines.outcomes import Outcome
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import unreadable
from labelloop.store.tables.outputs import Status


def statuses(conn: Conn, spec: LoopSpec, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Return the JSON of the outputs of these keys, in the order of the keys; keys without an output are left out."""
    rows = output_store.find(conn, spec.name, keys)
    held = outcomes.of_outputs(conn, [row.id for row in rows])
    # Nobody has seen the others: they have neither comments nor answers that cannot be read.
    shown = [row.id for row in rows if row.state != OutputState.PASSED]
    comments = output_store.comments(conn, shown) if shown else {}
    not_read = unreadable.of_outputs(conn, shown) if shown else {}
    return [
        status_json(spec, row, comments.get(row.id, []), not_read.get(row.id, []), held.get(row.id)) for row in rows
    ]


def status_json(
    spec: LoopSpec, row: Status, comments: Sequence[str], unreadable: Sequence[str], outcome: Outcome | None
) -> dict[str, Any]:
    """Return the JSON of an output. The reviewers' answer and comments are in it only in the state `answered`.

    `row`: the output with its newest answer. `unreadable`: why answers to it could not be read. `outcome`: the end of
    a pipeline's hold on it.
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
        "settled": row.state in SETTLED,
        "will_be_asked": row.state in ASKED,
        "lane": row.lane,
        "model_label": row.label,
        "model_confidence": row.confidence,
        "model_version": row.model_version,
        "label": label,
        "approval": approval,
        "correction": None if approval is not False else label,
        "comments": list(comments) if answered else [],
        "agreement": row.agreement if answered else None,
        "reviewers": row.reviewers if answered else 0,
        "unreadable": list(unreadable),
        "received_at": row.received_at.isoformat(),
        "answered_at": row.resolved_at.isoformat() if answered and row.resolved_at else None,
        "outcome": None if outcome is None else outcome_json(outcome),
    }


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "kind": outcome.outcome,
        "value": outcome.value,
        "decided_at": outcome.decided_at.isoformat(),
        "deadline_at": None if outcome.deadline_at is None else outcome.deadline_at.isoformat(),
    }


def _approval(spec: LoopSpec, label: str | None, model_label: str | None) -> bool | None:
    """Whether the final label confirms the model's, by the same rule as in feedback; None if either is missing."""
    if label is None or model_label is None:
        return None
    approval = results.read(spec.config, results.encode(spec.config, label, model_label), model_label).approval
    return label == model_label if approval is None else approval
