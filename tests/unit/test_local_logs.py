"""What the supervisor does with its children's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from labelloop.local.logs import LIMIT, Lines, tail


def test_two_streams_of_one_file_never_tear_a_line(tmp_path: Path) -> None:
    file = tmp_path / "child.log"
    out, err = Lines(str(file), "child"), Lines(str(file), "child")
    out({"data": b"first ha"})
    err({"data": b"error\n"})
    out({"data": b"lf\nlast"})
    out.close()
    assert file.read_text() == "error\nfirst half\nlast\n"


def test_on_the_terminal_each_line_carries_the_childs_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Lines(str(tmp_path / "child.log"), "child", echo=True)({"data": "één\ntwo\n".encode()})
    assert capsys.readouterr().out == "child          | één\nchild          | two\n"


def test_a_log_that_grew_too_long_is_put_aside_once(tmp_path: Path) -> None:
    file = tmp_path / "child.log"
    file.write_bytes(b"x" * (LIMIT + 1))
    Lines(str(file), "child")({"data": b"new\n"})
    assert file.read_text() == "new\n"
    assert (tmp_path / "child.old.log").stat().st_size == LIMIT + 1


def test_the_tail_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == ""
