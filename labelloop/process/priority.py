"""Priority: give a child process only the processor time that nothing else uses, and notice when it gets none."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

NICENESS = 19
"""Niceness of training and encoding processes (0 to 19); serving keeps priority. With 0 they run like any other."""
STARVED_NICENESS = 10
"""Niceness of a restarted child: beside a busy process it gets about 1/10 of a core, under the idle policy 1/300."""
STARVES_AFTER_S = 30.0
"""Seconds that a child waits for a processor before it is restarted with STARVED_NICENESS, if it got less than 1/5."""


def yield_to_all(pid: int, *, idle: bool = True) -> None:
    """Give a process only processor time that nothing else uses, and the same for the disk. Works on Linux only.

    Without `idle` it always gets a small share. This cannot be undone: only root may raise a priority again.
    """
    nice = NICENESS if idle else min(NICENESS, STARVED_NICENESS)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
    # A nice process keeps its time slice when Label Studio wakes up; an idle process loses the processor at once.
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(pid, os.SCHED_IDLE if idle and NICENESS else os.SCHED_OTHER, os.sched_param(0))


def starves(pid: int) -> bool:
    """Return whether the process waited for a processor for too long; False outside Linux.

    Too long is more than STARVES_AFTER_S, and more than four times as long as it ran.
    """
    try:
        ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    except (OSError, ValueError):
        return False
    return int(waited) > max(STARVES_AFTER_S * 1e9, 4 * int(ran))
