"""Tables for people: whole numbers at any width, and one line a row for a program."""

from __future__ import annotations

import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl

import pytest
from rich.console import Console

from console.cli import output
from console.cli.output import show

Said = Callable[[int], list[str]]
RUNS = [
    {
        "run": "0a1b2c3d",
        "status": "refused",
        "gain": "+12.3 points (-10.1 to +20.4)",
        "held out": 1234567,
        "why": "the challenger is right on 41 of 50 held-out answers, the champion on 40: nothing beyond chance " * 2,
    }
] * 2


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Said:
    """Return the lines of RUNS on a terminal with this many columns."""

    def lines(columns: int) -> list[str]:
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        with os.fdopen(theirs, "w") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            show(RUNS, as_json=False)
        shown = ""
        with suppress(OSError):  # the terminal's end
            while more := os.read(ours, 100_000):
                shown += more.decode()
        os.close(ours)
        return [re.sub(r"\x1b\[[\d;]*m", "", line).rstrip() for line in shown.splitlines()]

    return lines


def test_a_table_keeps_to_the_terminal_and_cuts_no_number_at_any_width(said: Said) -> None:
    for columns in range(40, 161):
        lines = said(columns)
        assert max(map(len, lines)) <= columns
        for row in RUNS:
            for value in (row["run"], row["held out"], row["gain"]):
                assert sum(str(value) in line for line in lines) == len(RUNS), (columns, value)
        assert sum(line.count("chance") for line in lines) == 4, columns


def test_where_the_columns_fit_there_is_a_head_and_long_words_wrap(said: Said) -> None:
    assert said(120)[0].split() == ["run", "status", "gain", "held", "out", "why"]


def test_without_a_terminal_a_row_is_one_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    show(RUNS, as_json=False)
    head, *rows = capsys.readouterr().out.splitlines()
    assert [len(rows), *(str(RUNS[0]["why"]).strip() in row for row in rows)] == [2, True, True]
    assert head.split()[0] == "run"
    show({"gain": 3, "why": RUNS[0]["why"]}, as_json=False)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_no_number_is_cut_beside_letters_that_are_two_columns_wide(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"loop": "票据分类循环票据", "answers": 1234567, "label": "正确的标签正确的", "again": "其他标签其他标签"}
    monkeypatch.setattr(output, "a_console", lambda: Console(force_terminal=True, color_system=None))
    for columns in range(40, 90):
        monkeypatch.setenv("COLUMNS", str(columns))
        show([row], as_json=False)
        out = capsys.readouterr().out
        assert all(str(value) in out for value in row.values()), columns
