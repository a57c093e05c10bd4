"""Batch: one import into Label Studio, of new tasks or of new predictions on open tasks; sent at most once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from labelloop.queue.lanes import Lane
from labelloop.queue.prelabel import Prelabelled


class BatchKind(StrEnum):
    TASKS = "tasks"
    """New tasks, each with its prediction."""
    PREDICTIONS = "predictions"
    """New predictions on open tasks."""


class BatchState(StrEnum):
    INTENT = "intent"
    """Stored, but not sent yet."""
    SENDING = "sending"
    """Label Studio may have it; this state is stored before the request leaves."""
    ADOPTED = "adopted"
    """Label Studio has it."""
    ABANDONED = "abandoned"
    """Label Studio never got it."""
    REFUSED = "refused"
    """Label Studio refused it."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch whose end is not known: an intent, or sending."""

    id: UUID
    loop: str
    kind: BatchKind
    state: BatchState
    version: str
    """The `model_version` of its predictions."""
    size: int
    """Number of outputs in it."""
    created_at: datetime
    sent_at: datetime | None
    age_s: float
    """Seconds since it was sent, or since it was written down if it was not sent."""


@dataclass(frozen=True, slots=True)
class BatchItem(Prelabelled):
    """An output that a batch carries."""

    batch_id: UUID
    output_id: UUID
    lane: Lane
    priority: float
    """Place in the served order, 0 to 1, highest first."""
    ranker: str
    why: str | None
    """Why an answer is useful; None until a version of ours has ranked the output."""
    key: str
    data: Mapping[str, Any]
    evidence: Mapping[str, Any] | None
    output_confidence: float | None
    """The pipeline's confidence in its label."""
