"""RetrainRun: one attempt to train a better model. Queued, running, and then judged, failed or stopped."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

STALE_AFTER_S = 20
"""A running run without a heartbeat for so long has lost its worker."""
GIVE_UP_AFTER = 3
"""A run that dies with its worker is tried again, unless so many in a row did: something in it kills."""


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PROMOTED = "promoted"
    REFUSED = "refused"
    FAILED = "failed"
    STOPPED = "stopped"
    """By a person, or because its worker ended and another run was waiting already."""
    ASKING = "asking"
    """It passed the gate, and a person decides."""
    SHADOW = "shadow"
    """It predicts beside the champion first."""


def try_again(latest: Sequence[str]) -> bool:
    """Whether to ask anew for a run that died with its worker; `latest` statuses, newest first, its own included."""
    return len(latest) < GIVE_UP_AFTER or any(status != RunStatus.FAILED for status in latest[:GIVE_UP_AFTER])
