"""How the logs of the children are kept and shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.local.logs import LIMIT, Logs, tail


def test_each_line_is_shown_once_when_it_is_whole_with_its_childs_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs(tmp_path, echo=True)
    file = tmp_path / "child.log"
    file.write_text("één\nha")
    logs.look()
    with file.open("a") as child:
        child.write("lf\n")
    logs.look()
    logs.look()
    assert capsys.readouterr().out == "child          | één\nchild          | half\n"


def test_what_was_there_before_the_start_is_not_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "child.log"
    file.write_text("of yesterday\n")
    logs = Logs(tmp_path, echo=True)
    logs.start()
    with file.open("a") as child:
        child.write("of today\n")
    logs.stop()
    assert capsys.readouterr().out == "child          | of today\n"


def test_a_log_that_grew_too_long_is_put_aside_and_goes_on_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "child.log"
    with file.open("ab", buffering=0) as child:
        child.write(b"x" * (LIMIT + 1))
        Logs(tmp_path, echo=False).look()
        child.write(b"new\n")
    assert file.read_text() == "new\n"
    assert (tmp_path / "child.old").stat().st_size == LIMIT + 1


def test_the_tail_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == ""
