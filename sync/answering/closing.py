"""Closing: the end of a pipeline's hold on an output, once for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from labelloop.access.identity import Identity
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from labelloop.store.pipelines import outcomes
from labelloop.store.pipelines.outcomes import Kind
from sync.intake.status import outcome_json, statuses

NO_FALLBACK = object()
"""The pipeline declares no fallback: without an answer the outcome is `undecided`."""


def close(
    conn: Conn, spec: LoopSpec, key: str, fallback: object, deadline_at: datetime | None, reader: Identity | None = None
) -> tuple[dict[str, Any], bool] | None:
    """End the hold on this output, in the caller's transaction. None if there is no such output, or only one
    that `reader` may not read.

    Returns the output's status with the outcome, and whether this call made it. The outcome is the answer if people
    have agreed on one by now, else the fallback. An output that has an outcome keeps it, whatever is given.
    """
    outcomes.lock(conn, spec.name, key)  # an answer is committed either before this, or after the outcome
    found = statuses(conn, spec, [key], reader)
    if not found:
        return None
    status = found[0]
    kind, value = _decide(status, fallback)
    outcome, is_new = outcomes.record(conn, status["id"], kind, value, deadline_at)
    return {**status, "outcome": outcome_json(outcome)}, is_new


def _decide(status: Mapping[str, Any], fallback: object) -> tuple[Kind, object]:
    if status["label"] is not None:
        return Kind.ANSWER, status["label"]
    if status["state"] == "accepted":
        return Kind.ACCEPTED, status["accepted"]["label"]
    if status["state"] == "passed":
        return Kind.PASSED, status["model_label"]
    return (Kind.UNDECIDED, None) if fallback is NO_FALLBACK else (Kind.FALLBACK, fallback)
