"""The status of outputs, as a pipeline reads it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from labelloop.access.identity import Identity
from labelloop.labeling import results
from labelloop.outputs.output import ASKED, SETTLED, OutputState
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.pipelines import outcomes
from labelloop.store.pipelines.outcomes import Outcome
from labelloop.store.promises import accepted
from labelloop.store.promises.accepted import Accepted
from labelloop.store.questions import chains
from labelloop.store.questions.chains import CorrectedStep
from labelloop.store.tables import outputs as output_store
from labelloop.store.tables import unreadable
from labelloop.store.tables.outputs import Status


@dataclass(frozen=True, slots=True)
class Context:
    """Facts about an output that other tables have."""

    comments: Sequence[str] = ()
    """Comments of the reviewers."""
    unreadable: Sequence[str] = ()
    """Reasons why answers cannot be read."""
    outcome: Outcome | None = None
    """The end of a pipeline's hold on it."""
    accepted: Accepted | None = None
    """The certificate by which it passed unseen, also if it was revoked later."""
    rests_on: Sequence[CorrectedStep] = ()
    """Earlier steps of its trace that people corrected."""


def statuses(conn: Conn, spec: LoopSpec, keys: Sequence[str], reader: Identity | None = None) -> list[dict[str, Any]]:
    """Return the JSON of the outputs of these keys, in the order of the keys; keys without an output are left out.

    What `reader` may not read is left out too; None reads everything.
    """
    rows = output_store.find(conn, spec.name, keys, None if reader is None else reader.source)
    around = contexts(conn, spec, rows, reader)
    return [status_json(spec, row, around[row.id]) for row in rows]


def contexts(conn: Conn, spec: LoopSpec, rows: Sequence[Status], reader: Identity | None = None) -> dict[UUID, Context]:
    """Return the context of each output by its id, without the steps of other sources and loops that `reader` may not
    read; None reads everything.
    """
    ids = [row.id for row in rows]
    # Nobody has seen the others: they have neither comments nor answers that cannot be read.
    shown = [row.id for row in rows if row.state != OutputState.PASSED]
    comments = output_store.comments(conn, shown) if shown else {}
    not_read = unreadable.of_outputs(conn, shown) if shown else {}
    held = outcomes.of_outputs(conn, ids)
    chained = [row.id for row in rows if row.trace]
    source, only = (None, None) if reader is None else (reader.source, reader.loop)
    rests_on = chains.rests_on(conn, spec, chained, source=source, only=only) if chained else {}
    may_be = spec.accept is not None or any(row.state == OutputState.ACCEPTED for row in rows)
    unseen = accepted.of_outputs(conn, ids) if may_be else {}
    return {
        id_: Context(
            comments.get(id_, ()), not_read.get(id_, ()), held.get(id_), unseen.get(id_), rests_on.get(id_, ())
        )
        for id_ in ids
    }


def status_json(spec: LoopSpec, row: Status, context: Context) -> dict[str, Any]:
    """Return the JSON of an output. The reviewers' answer and comments are in it only in the state `answered`.

    `row`: the output with its newest answer.
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
        "reason": row.state_reason if row.state in (OutputState.QUARANTINED, OutputState.WITHDRAWN) else None,
        "settled": row.state in SETTLED,
        "will_be_asked": row.state in ASKED,
        "lane": row.lane,
        "model_label": row.label,
        "model_confidence": row.confidence,
        "model_version": row.model_version,
        "source": row.source,
        "trace": row.trace,
        "step": row.step,
        "spec_version": row.spec_version,
        "repeats": _repeats_json(row),
        "accepted": None if context.accepted is None else accepted_json(context.accepted),
        "rests_on": [asdict(step) for step in context.rests_on],
        "label": label,
        "approval": approval,
        "correction": None if approval is not False else label,
        "comments": list(context.comments) if answered else [],
        "agreement": row.agreement if answered else None,
        "reviewers": row.reviewers if answered else 0,
        "unreadable": list(context.unreadable),
        "received_at": row.received_at.isoformat(),
        "answered_at": row.resolved_at.isoformat() if answered and row.resolved_at else None,
        "outcome": None if context.outcome is None else outcome_json(context.outcome),
    }


def _repeats_json(row: Status) -> dict[str, Any] | None:
    if row.original_id is None:
        return None
    answered = row.state == OutputState.ANSWERED
    return {"key": row.original, "id": row.original_id, "answered_by": list(row.answered_by or ()) if answered else []}


def accepted_json(one: Accepted) -> dict[str, Any]:
    """Return by which promise an output passed unseen."""
    return {
        "label": one.label,
        "confidence": one.confidence,
        "by": one.by,
        "version": one.version,
        "certificate": str(one.certificate_id),
        "error": one.error,
        "at": one.at.isoformat(),
        "revoked_at": None if one.revoked_at is None else one.revoked_at.isoformat(),
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
