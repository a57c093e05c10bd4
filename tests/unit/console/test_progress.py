"""Progress: a bar on a terminal, on stderr alone, and not a character anywhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest

from console.cli.progress import progress

PROGRAM = """
import time
from console.cli.progress import progress
from console.cli.output import to_stderr
with progress() as tick:
    tick("eggs are counted", 30, 40)
    time.sleep(0.3)
    to_stderr("a line that stays")
    time.sleep(0.3)
print("for programs")
"""


def test_on_a_terminal_there_is_a_bar_on_stderr_and_a_line_comes_whole_above_it() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"}
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # the terminal's end
        while more := os.read(ours, 10_000):
            said += more
    os.close(ours)
    assert process.communicate(timeout=60)[0] == b"for programs\n"
    text = said.decode()
    assert "eggs are counted" in text
    assert "75%" in text
    assert "a line that stays\r\n" in text


def test_without_a_terminal_there_is_not_a_character_of_it(capfd: pytest.CaptureFixture[str]) -> None:
    with progress() as tick:
        tick("eggs are counted", 30, 40)
    assert capfd.readouterr() == ("", "")
