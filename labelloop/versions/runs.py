"""RetrainRun: one attempt to train a better model. It is queued, then running, and then judged, failed or stopped."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

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
    """It passed the gate, and a person decides."""
    SHADOW = "shadow"
    """It predicts beside the champion first."""


def try_again(latest: Sequence[str]) -> bool:
    """Whether to request a new run after one failed with its worker. `latest` are statuses, newest
    first, with its own.
    """
    return len(latest) < GIVE_UP_AFTER or any(status != RunStatus.FAILED for status in latest[:GIVE_UP_AFTER])
