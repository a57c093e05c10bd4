"""The training child takes only the processor time that nothing else wants, as the kernel sees it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.child import yield_to_all


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no other system has an idle policy")
def test_a_training_process_has_the_lowest_priority_of_every_kind() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        try:
            yield_to_all(process.pid)
            assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
            assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
            session = Path(f"/proc/{process.pid}/autogroup")
            assert not session.exists() or session.read_text().split()[-1] == "19"
        finally:
            process.kill()
