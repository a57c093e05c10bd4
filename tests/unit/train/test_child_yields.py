"""The training child takes the processor time that nothing else wants, and a share where it starves."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from labelloop.process import priority
from labelloop.process.priority import STARVED_NICENESS, starves, yield_to_all

LOOP = [sys.executable, "-c", "while True: pass"]


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


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not say what waits")
def test_where_others_want_all_the_time_an_idle_process_starves_and_one_with_a_share_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(priority, "STARVES_AFTER_S", 0.5)
    with ExitStack() as stack:
        idle, fed, other = (stack.enter_context(subprocess.Popen(LOOP, start_new_session=True)) for _ in range(3))
        for process in (idle, fed, other):
            stack.callback(process.kill)
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})  # one core for all of them
        yield_to_all(idle.pid)
        yield_to_all(fed.pid, idle=False)
        assert os.sched_getscheduler(fed.pid) == os.SCHED_OTHER
        assert os.getpriority(os.PRIO_PROCESS, fed.pid) == STARVED_NICENESS
        before = ran(idle.pid), ran(fed.pid)
        deadline = time.monotonic() + 60
        while not starves(idle.pid) or ran(fed.pid) - before[1] < 0.05:
            assert time.monotonic() < deadline, "nothing starves, or both do"
            time.sleep(0.1)
        assert ran(idle.pid) - before[0] < ran(fed.pid) - before[1]


def ran(pid: int) -> float:
    """Seconds of the processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
