"""The parts of a start that need no server: ports, options, the data folder, and a child that cannot stay up."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from console.local import folder, ports, start
from console.local.leftovers import left_behind
from console.local.options import UpOptions
from console.local.postgres import Command
from console.local.start import EXAMPLES, find_loops_dir
from console.local.supervisor import ROOT, Supervisor
from console.local.up import down, up
from labelloop.errors import Failed, UsageError
from tests.support.network.ports import free_base


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that this process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def reserved() -> Iterator[ports.Reserved]:
    with ports.Reserved() as made:
        yield made


def test_a_busy_port_that_the_user_chose_is_named_with_its_process(
    busy: int, tmp_path: Path, reserved: ports.Reserved
) -> None:
    with pytest.raises(UsageError, match=rf"port {busy} .* used by .*\(process {os.getpid()}\): .*--port-base"):
        ports.choose(tmp_path / "ports.json", ["postgres", "sync"], busy, print, reserved)


def test_a_busy_port_of_an_earlier_start_is_replaced_by_a_free_one_and_kept(
    busy: int, tmp_path: Path, reserved: ports.Reserved
) -> None:
    file = tmp_path / "ports.json"
    file.write_text(f'{{"sync": {busy}}}')
    said: list[str] = []
    first = ports.choose(file, ["sync"], None, said.append, reserved)
    assert first["sync"] > busy
    assert "sync gets" in said[0]
    assert ports.choose(file, ["sync"], None, said.append, reserved) == first
    assert len(said) == 1


def test_starts_at_the_same_moment_choose_different_ports(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from pathlib import Path
        from console.local import ports
        with ports.Reserved() as reserved:
            input()
            names = ["postgres", "sync", "backend", "label-studio"]
            print(*ports.choose(Path(sys.argv[1]), names, None, lambda line: None, reserved).values(), flush=True)
            input()
    """
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        starts = []
        for i in range(3):
            command = [sys.executable, "-c", program, str(tmp_path / f"{i}.json")]
            starts.append(stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)))
        for start in starts:
            assert start.stdin is not None
            start.stdin.write("\n")
            start.stdin.flush()
        chosen = [int(port) for start in starts if start.stdout is not None for port in start.stdout.readline().split()]
        for start in starts:
            start.communicate("\n")
    assert len(chosen) == len(set(chosen)) == 12


def test_a_port_is_reserved_until_its_up_ends(tmp_path: Path, reserved: ports.Reserved) -> None:
    base = free_base()
    names = list(ports.OFFSETS)
    with ports.Reserved() as first:
        theirs = ports.choose(tmp_path / "first.json", names, base, print, first)
        assert ports.choose(tmp_path / "first.json", names, base, print, first) == theirs, (
            "asked again before a service"
        )
        with pytest.raises(UsageError, match=rf"port {base} for postgres is used by another `labelloop up`"):
            ports.choose(tmp_path / "second.json", names, base, print, reserved)
    assert ports.choose(tmp_path / "second.json", names, base, print, reserved) == theirs


def test_a_system_without_names_for_sockets_still_has_ports(
    busy: int, tmp_path: Path, reserved: ports.Reserved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a sandbox that allows no abstract names."""

    class Refusing(socket.socket):
        def bind(self, address: Any) -> None:
            if self.family == socket.AF_UNIX:
                raise PermissionError(errno.EACCES, "Permission denied")
            super().bind(address)

    monkeypatch.setattr(socket, "socket", Refusing)
    assert not reserved.take(busy)
    file, base = tmp_path / "ports.json", free_base()
    assert ports.choose(file, ["postgres", "sync"], base, print, reserved) == {"postgres": base, "sync": base + 1}


def test_the_command_line_goes_before_the_environment(tmp_path: Path) -> None:
    environ = {"LABELLOOP_DATABASE_URL": "postgresql://a", "LABELLOOP_DATA_DIR": str(tmp_path)}
    options = UpOptions.from_env(environ, database_url="postgresql://b")
    assert (options.data_dir, options.database_url) == (tmp_path, "postgresql://b")
    assert UpOptions.from_env(environ).database_url == "postgresql://a"


def test_what_an_earlier_start_wrote_is_not_taken_for_a_wish(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("LABELLOOP_DATABASE_URL=postgresql://ours\n")
    assert UpOptions.from_env({}, data_dir=tmp_path).database_url == ""


def test_a_wrong_loops_folder_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    data = tmp_path / "new"
    with pytest.raises(UsageError, match="there is no folder"), up(UpOptions(data, data / "labeling_configs")):
        pass
    assert not data.exists()


def test_a_folder_that_is_full_of_something_else_is_neither_used_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="not a data folder"), folder.held(tmp_path):
        pass
    with pytest.raises(UsageError, match="nothing is removed"):
        down(tmp_path, purge=True)
    assert (tmp_path / "thesis.txt").exists()


def test_a_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        folder.held(tmp_path),
        pytest.raises(UsageError, match=f"already runs on .*process {os.getpid()}"),
        folder.held(tmp_path),
    ):
        pass


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    supervisor.start()
    yield supervisor
    supervisor.stop()
    assert left_behind(tmp_path) == []


def test_a_child_that_cannot_stay_up_is_an_error_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    supervisor.add("child", _python("print('the port of the moon is closed'); raise SystemExit(3)"))
    with pytest.raises(Failed, match=r"exits right after its start. Its log, .*child.log:\n +the port of the moon"):
        supervisor.until(lambda: False, 30, "child")


def test_a_child_that_ignores_the_polite_signal_is_killed_with_its_own_children(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("supervisor", "leftovers"):
        monkeypatch.setattr(f"console.local.{module}.GRACE_S", 0.5)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    sleep = f"{stubborn}; time.sleep(600)"
    supervisor.add(
        "child", _python(f"import subprocess, sys; {stubborn}; subprocess.run([sys.executable, '-c', {sleep!r}])")
    )
    supervisor.until(lambda: len(_family(supervisor)) == 2, 30, "child")
    time.sleep(0.5)  # until both ignore the signal
    family = _family(supervisor)
    supervisor.stop()
    assert not [process for process in family if _lives(process)]


def test_a_child_that_is_killed_comes_back(supervisor: Supervisor) -> None:
    supervisor.add("child", _python("import time; time.sleep(600)"))
    supervisor.until(lambda: bool(supervisor.pids("child")), 30, "child")
    first = supervisor.pids("child")
    os.kill(first[0], signal.SIGKILL)
    supervisor.until(lambda: supervisor.pids("child") not in ([], first), 30, "child")


def test_an_exit_that_circus_does_not_report_is_counted_at_the_next_start(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path)
    heard = "spawn reap spawn spawn reap spawn".split()
    supervisor._events = Events([f"watcher.child.{event}" for event in heard])  # type: ignore[assignment]
    assert supervisor.ends() == {"child": 3}
    assert supervisor.ends() == {"child": 3}


class Events:
    """Events as circus publishes them. It leaves out one exit in thousands, and only under load."""

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def poll(self, _: int) -> int:
        return len(self._topics)

    def recv_multipart(self) -> list[bytes]:
        return [self._topics.pop(0).encode(), b"{}"]


def _family(supervisor: Supervisor) -> list[psutil.Process]:
    heads = [psutil.Process(pid) for pid in supervisor.pids("child")]
    return heads + [child for head in heads for child in head.children(recursive=True)]


def _lives(process: psutil.Process) -> bool:
    """A process that has ended counts as gone, even before its new parent has noticed."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _python(code: str) -> Command:
    return Command([sys.executable, "-u", "-c", code], "/", {"PATH": os.defpath})


def test_an_up_reads_the_loops_here_or_those_of_its_earlier_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, earlier = tmp_path / "labeling_configs", tmp_path / "earlier"
    assert find_loops_dir(None, Path("labeling_configs")) == here, "`labelloop init` will make it"
    assert find_loops_dir(None, EXAMPLES) == EXAMPLES, "in a checkout these are the user's own loops"
    monkeypatch.setattr(start, "IS_CHECKOUT", False)
    assert find_loops_dir(None, EXAMPLES) == here, "the installation's loops are not the user's"
    earlier.mkdir()
    assert find_loops_dir(None, earlier) == earlier
    here.mkdir()
    assert find_loops_dir(None, earlier) == here
    assert find_loops_dir(earlier) == earlier
    with pytest.raises(UsageError, match="there is no folder"):
        find_loops_dir(tmp_path / "none")
