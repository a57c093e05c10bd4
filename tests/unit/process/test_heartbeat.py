"""The sign of life that a worker's health check reads."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from labelloop.process.heartbeat import BEATS, beat


def check(file: Path | None) -> subprocess.CompletedProcess[str]:
    """The health check of docker-compose.yml, with a heartbeat of ten seconds."""
    environ = {"LABELLOOP_HEARTBEAT_S": "10", "PATH": os.environ["PATH"]}
    if file is not None:
        environ["LABELLOOP_HEARTBEAT_FILE"] = str(file)
    command = [sys.executable, "-m", "labelloop.process.heartbeat"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_worker_is_alive_from_its_first_beat_until_its_beats_stop(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    assert (check(file).returncode, check(file).stdout) == (1, "no heartbeat so far\n")
    with suppress(TimeoutError):
        asyncio.run(asyncio.wait_for(beat(file, 0.01), 0.1))
    assert check(file).returncode == 0
    long_ago = time.time() - 10 * BEATS - 40
    os.utime(file, (long_ago, long_ago))
    stuck = check(file)
    assert (stuck.returncode, stuck.stdout.startswith("last heartbeat 1")) == (1, True)


def test_the_check_names_the_setting_that_it_needs() -> None:
    assert (check(None).returncode, "LABELLOOP_HEARTBEAT_FILE" in check(None).stderr) == (1, True)


def test_a_heartbeat_that_cannot_be_written_stops_no_worker(tmp_path: Path) -> None:
    async def until_it_ends() -> bool:
        task = asyncio.create_task(beat(tmp_path / "missing" / "heartbeat", 0.01))
        await asyncio.sleep(0.05)
        alive = not task.done()
        task.cancel()
        return alive

    assert asyncio.run(until_it_ends())
