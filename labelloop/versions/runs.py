"""RetrainRun: one attempt to train a better model. It is queued, then running, and then judged, failed or stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

STALE_AFTER_S = 20
"""Seconds without a heartbeat after which the worker of a running run counts as lost."""
GIVE_UP_AFTER = 3
"""Number of runs in a row that may fail with their worker. After that no new one starts: the run itself may be the
cause.
"""


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PROMOTED = "promoted"
    REFUSED = "refused"
    FAILED = "failed"
    STOPPED = "stopped"
    """Stopped by a person, or because its worker ended while another run was already queued."""
    ASKING = "asking"
    """The challenger passed the gate, and a person decides."""
    SHADOW = "shadow"
    """The challenger passed the gate, and predicts beside the champion before it is judged once more."""


@dataclass(frozen=True, slots=True)
class RetrainRun:
    """A row of retrain_runs."""

    id: UUID
    loop: str
    why: str
    """Reason for the run."""
    status: RunStatus
    feedback_upto: int | None
    """The run sees answers up to this seq; None until it starts."""
    seed: int
    requested_at: datetime
    started_at: datetime | None
    heartbeat_at: datetime | None
    finished_at: datetime | None
    champion_id: str | None
    """The version that it was judged against; None means the pipeline's own outputs."""
    version_id: str | None
    """The version that it made; None if it made none."""
    reasons: Sequence[str]
    """The verdict in words, the deciding reason first."""
    scores: Mapping[str, Any] | None
    """The evaluation on the hold-out set; None before the verdict."""
    error: str | None
    progress: Mapping[str, Any] | None
    log: str | None
    stop_asked_by: str | None
    tried: Mapping[str, Any] | None
    exported: str | None
    """The status with which MLflow has the run; None if MLflow does not have it."""
    judges: UUID | None
    """The run whose version is judged again; None for a run that trains."""

    @property
    def made(self) -> str:
        """The version that it made; every run that has passed the gate made one."""
        assert self.version_id is not None
        return self.version_id

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """Return the evaluation of the run; empty before the verdict."""
        return self.scores or {}

    @property
    def cut(self) -> int:
        """The run sees answers up to this seq; every run that has started has a cut."""
        assert self.feedback_upto is not None
        return self.feedback_upto


def try_again(latest: Sequence[str]) -> bool:
    """Whether to request a new run after one failed with its worker. `latest` are statuses, newest
    first, with its own.
    """
    return len(latest) < GIVE_UP_AFTER or any(status != RunStatus.FAILED for status in latest[:GIVE_UP_AFTER])
