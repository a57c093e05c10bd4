"""The help of the command line, and the data folder that it uses if none is named."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from console.cli import main
from console.cli.data_folder import found_data_dir
from console.cli.invite import is_loopback
from console.cli.roles import ROLES
from console.local import folder, last_up
from console.local.up import down, usable
from labelloop.process import ups

SCRIPT = Path(sys.executable).with_name("labelloop")


def test_the_help_names_every_command_once_under_whom_it_is_for_whole_in_80_columns() -> None:
    said = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["--help"]).output
    commands = said.split("\nRun it:\n")[1]
    names = [line.split()[0] for line in commands.splitlines() if line.startswith("  ")]
    assert sorted(names) == sorted(main.commands)
    assert "..." not in commands
    assert "More:" not in commands
    assert {name for names in ROLES.values() for name in names} >= set(names)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["forget", "--key", "a", "--key", ""], "--key is '': give a key"),
        (["forget", "--group", "   "], "--group is '   ': give a group"),
        (["forget", "--person", ""], "--person is '': give a name"),
        (["audit", "show", " "], "KEY|VERSION|PERSON is ' ': give a key or a version or a person"),
        (["people", "distrust", "", "--since", "1d"], "PERSON is '': give a person"),
    ],
)
def test_an_empty_name_is_refused_before_anything_is_looked_up(command: list[str], says: str) -> None:
    refused = CliRunner().invoke(main, command)
    assert (refused.exit_code, refused.stderr) == (2, f"labelloop: {says}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_told_to_ask_us(shell: str) -> None:
    said = CliRunner().invoke(main, ["completion", shell])
    assert (said.exit_code, f"_LABELLOOP_COMPLETE={shell}_complete" in said.output) == (0, True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_and_options() -> None:
    def completed(*words: str) -> list[str]:
        at = f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}"
        script = f'source <("{SCRIPT}" completion bash); {at}; _labelloop_completion {SCRIPT}; echo "${{COMPREPLY[@]}}"'
        said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=120)
        return said.stdout.split()

    assert completed("labelloop", "ver") == ["versions"]
    assert completed("labelloop", "retrain", "--w") == ["--why", "--wait"]


# -- the last `up` -----------------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in that has no data folder, and a user who never ran `up`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in [name for name in os.environ if name.startswith("LABELLOOP_")]:
        monkeypatch.delenv(name)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def running(stack: ExitStack, *folders: Path) -> None:
    for each in folders:
        stack.enter_context(folder.held(each))
        last_up.remember(each)


def test_the_newest_up_that_runs_is_found_from_any_folder_and_named(
    elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older, newer = tmp_path / "older", tmp_path / "newer"
    with ExitStack() as stack:
        running(stack, older)
        with ExitStack() as inner:
            running(inner, newer)
            assert found_data_dir({}) == newer
            assert f"using the last `labelloop up`, {newer}; 1 more runs" in capsys.readouterr().err
        assert found_data_dir({}) == older
        assert str(older) in capsys.readouterr().err
    assert found_data_dir({}) == Path(".labelloop")
    assert capsys.readouterr().err == ""


def test_a_folder_that_is_named_goes_before_the_last_up_in_silence(
    elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        running(stack, tmp_path / "up")
        assert found_data_dir({"LABELLOOP_DATA_DIR": "/named"}) == Path("/named")
        assert found_data_dir({"LABELLOOP_DATABASE_URL": "postgresql://a"}) == Path(".labelloop")
        assert capsys.readouterr().err == ""


def test_the_folder_here_goes_before_an_up_elsewhere_which_is_named(
    elsewhere: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (elsewhere / ".labelloop").mkdir()
    with ExitStack() as stack:
        running(stack, tmp_path / "up")
        assert found_data_dir({}) == Path(".labelloop")
        said = capsys.readouterr().err
    assert f"where no `up` runs; one runs on {tmp_path / 'up'}" in said


def test_a_command_that_only_reads_a_folder_locks_nobody_out_of_it(tmp_path: Path) -> None:
    with folder.held(tmp_path):
        assert ups.is_held(tmp_path)
    assert not ups.is_held(tmp_path)
    assert not ups.is_held(tmp_path / "nothing")
    with (tmp_path / ups.HOLDER).open() as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        assert not ups.is_held(tmp_path)


def test_a_home_that_cannot_be_written_to_only_means_that_nobody_finds_the_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc")
    last_up.remember(tmp_path)
    assert ups.running() == []


# -- up and down -------------------------------------------------------------------------------------------------------


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


def test_down_says_that_nothing_runs_and_keeps_what_is_stored(elsewhere: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with folder.held(data):
        (data / "settings.env").write_text("")
    done = invoke("down", "--data-dir", str(data))
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.splitlines()[0] == f"nothing runs on {data}"
    assert f"the data stays in {data}" in done.stderr
    said: list[str] = []
    down(data, purge=True, announce=said.append)
    assert said[-1] == f"deleted {data} with everything in it"
    assert not data.exists()


def test_purge_removes_no_folder_that_was_only_found(elsewhere: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        running(stack, tmp_path / "up")
        refused = invoke("down", "--purge")
    assert (refused.exit_code, (tmp_path / "up").exists()) == (2, True)
    assert "name the folder with --data-dir" in refused.stderr


def test_the_lines_that_up_prints_make_the_command_and_its_folder_known_to_a_shell(tmp_path: Path) -> None:
    data = tmp_path / "a folder's name"
    script = "\n".join(["PATH=/usr/bin:/bin", *usable(data), "command -v labelloop", 'echo "$LABELLOOP_DATA_DIR"'])
    said = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [str(SCRIPT), str(data)]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8680/user/signup", True),
        ("http://localhost/x", True),
        ("http://[::1]/x", True),
        ("https://labels.example.org/x", False),
        ("http://10.1.2.3/x", False),
    ],
)
def test_an_address_of_this_machine_alone_is_known(url: str, here: bool) -> None:
    assert is_loopback(url) is here
