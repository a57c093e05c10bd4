"""Label Studio's environment: named, or made once; an interrupted installation is begun anew."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from console.local import environment
from labelloop.errors import Failed, UsageError
from labelloop.process.rooms import ROOMS

UV = """#!/bin/sh
echo "$1 $2" >> "{calls}"
case "$1" in
venv) mkdir -p "$4/bin" && touch "$4/bin/python" ;;
pip) {then} ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user with an empty home, whose uv writes down what it is asked for and installs nothing."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv(environment.NAMED, raising=False)
    uv(tmp_path, "true")
    return tmp_path / "calls"


def uv(folder: Path, then: str) -> None:
    """Put a uv there that runs `then` in place of an installation."""
    (folder / "uv").write_text(UV.format(calls=folder / "calls", then=then))
    (folder / "uv").chmod(0o755)


def test_a_python_that_is_named_is_taken_and_must_be_there(tmp_path: Path) -> None:
    assert environment.find_python({environment.NAMED: sys.executable}) == Path(sys.executable)
    with pytest.raises(UsageError, match=f"{environment.NAMED} names /none, which is not there"):
        environment.find_python({environment.NAMED: "/none"})


def test_it_is_installed_once_for_all_data_folders(calls: Path, tmp_path: Path) -> None:
    python = environment.make()
    assert python.is_relative_to(tmp_path / "data/labelloop")
    assert environment.make() == python
    assert calls.read_text().splitlines() == ["venv --python", "pip sync"]


def test_a_start_waits_for_what_a_killed_one_left_and_then_begins_anew(calls: Path, tmp_path: Path) -> None:
    uv(tmp_path, f'touch "{tmp_path}/half"; sleep 2; touch "{tmp_path}/orphan-ended"')
    asks = "from console.local import environment; environment.make()"
    first = subprocess.Popen([sys.executable, "-c", asks], cwd=ROOMS, env=os.environ | {"PYTHONPATH": str(ROOMS)})
    deadline = time.monotonic() + 60
    while not (tmp_path / "half").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    first.kill()
    first.wait()
    (environment.place() / "half").touch()
    uv(tmp_path, "true")
    assert environment.make().exists()
    assert (tmp_path / "orphan-ended").exists()
    assert not (environment.place() / "half").exists()
    assert len(calls.read_text().splitlines()) == 4


def test_what_uv_cannot_install_is_tried_with_pip_and_both_failures_are_told(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv(tmp_path, "echo no index; exit 2")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no module venv\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(Failed, match=r"uv ended with 2(.|\n)*no index(.|\n)*python ended with 1(.|\n)*no module venv"):
        environment.make()
    assert environment.find_python({"XDG_DATA_HOME": str(tmp_path / "data")}) in (
        None,
        environment.CHECKOUT / "bin/python",
    )
