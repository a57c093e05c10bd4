"""The logs of the children of `up`."""

from __future__ import annotations

from pathlib import Path

from console.local.logs import MAX_LOG_BYTES, Logs, tail


def test_a_log_that_grew_too_long_is_put_aside_and_goes_on_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "child.log"
    with file.open("ab", buffering=0) as child:
        child.write(b"x" * (MAX_LOG_BYTES + 1))
        Logs(tmp_path).check()
        child.write(b"new\n")
    assert file.read_text() == "new\n"
    assert (tmp_path / "child.old").stat().st_size == MAX_LOG_BYTES + 1


def test_the_tail_of_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == ""
