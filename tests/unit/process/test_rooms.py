"""Python finds our rooms before any other `sync` or `backend`, and a command names the extra that it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from labelloop.__main__ import refusal
from labelloop.process import rooms

ROOM_NAMES = ("console", "sync", "backend")
BARE = [sys.executable, "-S"]
"""A Python that has the checkout, as its working directory, and no installed package."""


def others(folder: Path) -> Path:
    """A folder with packages of somebody else that have the names of our rooms."""
    for name in ROOM_NAMES:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("raise SystemExit('this is not ours')")
    return folder


def run(words: list[str], here: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LABELLOOP_"))}
    return subprocess.run(words, cwd=here, env=env | environ, capture_output=True, text=True, check=False, timeout=120)


def test_a_process_of_ours_takes_no_package_of_the_current_directory_or_of_an_installed_one(tmp_path: Path) -> None:
    installed, here = others(tmp_path / "installed"), others(tmp_path / "here")
    (installed / "probe.py").write_text(f"import {', '.join(ROOM_NAMES)}\nfor m in ({', '.join(ROOM_NAMES)}): print(m)")
    environ = rooms.environment({"PYTHONPATH": str(installed)})
    done = run(rooms.python("probe"), here, PYTHONPATH=environ["PYTHONPATH"])
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"{rooms.ROOMS}/{name}/" in done.stdout for name in ROOM_NAMES)


def test_the_command_takes_no_package_of_the_current_directory_or_of_an_installed_one(tmp_path: Path) -> None:
    installed, here = others(tmp_path / "installed"), others(tmp_path / "here")
    done = run([sys.executable, "-m", "labelloop", "strategies"], here, PYTHONPATH=f"{installed}:{rooms.ROOMS}")
    assert done.returncode == 0, done.stderr
    assert "margin" in done.stdout


def test_the_rooms_stand_once_and_first_in_pythonpath() -> None:
    once = rooms.environment({"PYTHONPATH": f"/a::{rooms.ROOMS}:/b"})
    assert once["PYTHONPATH"] == f"{rooms.ROOMS}:/a:/b"
    assert rooms.environment(once) == once
    assert rooms.environment({"A": "b"}) == {"A": "b", "PYTHONPATH": str(rooms.ROOMS)}


@pytest.mark.parametrize(
    ("words", "module", "said"),
    [
        (
            ["up", "--json"],
            "click",
            "`up` needs the server (there is no module 'click'): pip install 'labelloop[server]'",
        ),
        ([], "click", "its commands need the server (there is no module 'click'): pip install 'labelloop[server]'"),
        (
            ["rescore"],
            "distributed",
            "`rescore` needs the extra 'cluster' (there is no module 'distributed'): pip install 'labelloop[cluster]'",
        ),
    ],
)
def test_a_refusal_names_the_command_the_module_and_the_extra(words: list[str], module: str, said: str) -> None:
    assert refusal(words, module) == said


def test_a_command_without_its_packages_is_refused_in_one_line_with_status_2() -> None:
    done = run([*BARE, "-m", "labelloop", "up"], rooms.ROOMS)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"labelloop: {refusal(['up'], 'click')}\n"


def test_importing_the_client_loads_the_standard_library_alone() -> None:
    done = run([*BARE, "-c", "from labelloop import Client, Output, Unreachable; Output"], rooms.ROOMS)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["selection", "strategies"])
def test_a_part_that_needs_numpy_is_there_with_numpy_and_names_the_extra_without(name: str) -> None:
    asks = f"from labelloop import {name}; print({name}.__name__)"
    assert run([sys.executable, "-c", asks], rooms.ROOMS).stdout == f"labelloop.{name}\n"
    refused = run([*BARE, "-c", asks], rooms.ROOMS).stderr.splitlines()[-1]
    assert refused == f"ModuleNotFoundError: labelloop.{name} needs numpy: pip install 'labelloop[server]'"
