"""An embedded Postgres in one folder: durable, on 127.0.0.1 only, with a password, for root and other users.

The programs are the system's or those of a wheel (console.local.binaries). The server is a foreground process for any
supervisor: call `prepare`, run `command`, then `wait`. After a kill -9, start the command again until it stays up. The
old server's children hold the shared memory for a while.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from console.local.binaries import Binaries, Kind, Owner, choose
from console.local.places import SYSTEM_DATA_ROOT, free_port, is_free, outside, write_secret
from labelloop.errors import Failed, UsageError

USER = "labelloop"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    # As in labelloop/store/database.py, for Label Studio's statements too.
    "jit": "off",
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command for a supervisor. `uid` and `gid` are None for the current user, `log` is None for the default file."""

    argv: Sequence[str]
    cwd: str
    env: dict[str, str] = field(default_factory=dict)
    uid: int | None = None
    gid: int | None = None
    log: Path | None = None


class Postgres:
    """The server in `folder`, which is created if it is missing. As a context manager it runs for the `with`.

    `port` 0 chooses a free port.
    """

    def __init__(self, folder: Path, *, port: int = 0, kind: Kind = "auto") -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self._chooses_port = not port
        self._kind = kind
        self._binaries: Binaries | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def binaries(self) -> Binaries:
        if self._binaries is None:
            raise RuntimeError("prepare() comes first")
        return self._binaries

    @property
    def data(self) -> Path:
        """The folder of the cluster, with links resolved, because the server's user may not enter `folder`."""
        return (self.folder / "files").resolve() / "data"

    @property
    def log(self) -> Path:
        """The server's log file, beside the cluster, where its user may write."""
        return self.data.with_name("log")

    @property
    def password(self) -> str:
        """The password, created once and stored in a file that only its owner can read."""
        file = self.folder / "password"
        if not file.exists():
            write_secret(file, secrets.token_hex(24) + "\n")
        return file.read_text().strip()

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def prepare(self) -> None:
        """Create the folder and the cluster, and end a server that was left behind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        owner = Owner.of(self.folder / "files")
        files = self._files_for(owner)
        version = self.data / "PG_VERSION"
        self._binaries = choose(self._kind, owner, files, version.read_text().strip() if version.exists() else None)
        if version.exists():
            self._end_leftover()
        else:
            self._init()

    def command(self) -> Command:
        """Return the command of the foreground server. Stop it with SIGINT: on SIGTERM it waits for its clients."""
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        argv = [str(self.binaries.folder / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]
        owner = self.binaries.owner
        return Command(argv, "/", {"PATH": os.defpath, "LC_ALL": "C"}, owner.uid, owner.gid, self.log)

    def is_up(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def wait(self, seconds: float = 60.0) -> None:
        """Wait until the server answers. Raises Failed if it does not in time."""
        deadline = time.monotonic() + seconds
        while not self.is_up():
            if time.monotonic() > deadline:
                raise Failed(f"Postgres does not answer on port {self.port} after {seconds:g} s")
            time.sleep(0.05)

    def create_database(self, name: str) -> str:
        """Create the database if it is missing, and return its URL."""
        create_database(self.url("postgres"), name)
        return self.url(name)

    def start(self, seconds: float = 60.0) -> None:
        """Run the server as a child process, restarting it until it answers."""
        self.prepare()
        deadline = time.monotonic() + seconds
        while True:
            command = self.command()
            with self.log.open("ab") as log:
                self.binaries.owner.take(self.log)  # an `up` on the same folder lets the server's user write it
                self._process = subprocess.Popen(
                    command.argv, cwd=command.cwd, env=command.env, **self.binaries.owner.as_child(),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
            while self._process.poll() is None:
                if self.is_up():
                    return
                if time.monotonic() > deadline:
                    self.stop()
                time.sleep(0.05)
            if time.monotonic() > deadline:
                raise Failed(f"Postgres does not start; its log is {self.log}")
            if self._chooses_port and not is_free(self.port):  # another process was faster
                self.port = free_port()
            time.sleep(0.5)

    def stop(self) -> None:
        """Shut down cleanly without waiting for clients. A second call does nothing."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(60)
            self._process = None

    def remove(self) -> None:
        """Delete the folder and everything in it, after ending a server that still runs there."""
        self.stop()
        if (self.data / "postmaster.pid").exists():
            self._end_leftover()
        files = self.folder / "files"
        if files.is_symlink():
            shutil.rmtree(files.resolve(), ignore_errors=True)
            if SYSTEM_DATA_ROOT.is_dir() and not any(SYSTEM_DATA_ROOT.iterdir()):
                SYSTEM_DATA_ROOT.rmdir()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _files_for(self, owner: Owner) -> Path:
        """Return the folder of the server's files: in ours, or below SYSTEM_DATA_ROOT if its user cannot enter ours."""
        files = self.folder / "files"
        if files.is_symlink():
            files.resolve().mkdir(parents=True, exist_ok=True)
        elif not files.exists():
            if owner.can_enter(self.folder):
                files.mkdir()
            else:
                files.symlink_to(outside(self.folder))
        os.chmod(files, 0o700)
        owner.take(files)
        if not owner.can_enter(files.resolve()):
            raise UsageError(
                f"the user that Postgres runs as cannot enter {files.resolve()}: choose another data folder"
            )
        return files.resolve()

    def _init(self) -> None:
        files = self.data.parent
        # In another folder until it is complete: a killed initdb leaves no usable cluster.
        fresh = files / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        secret = files / "password.new"
        write_secret(secret, self.password)
        self.binaries.owner.take(secret)
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        if self.binaries.major < 17:
            locale = ["--locale=C.UTF-8" if sys.platform == "linux" else "--locale=C"]
        try:
            self.binaries.run(
                "initdb", "-D", str(fresh), "-U", USER, "-A", "scram-sha-256", f"--pwfile={secret}",
                "--encoding=UTF8", "--data-checksums", *locale,
            )  # fmt: skip
        finally:
            secret.unlink()
        fresh.rename(self.data)

    def _end_leftover(self) -> None:
        """End a server that outlived its supervisor. A pid file that names a foreign process is deleted."""
        pid_file = self.data / "postmaster.pid"
        try:
            process = psutil.Process(int(pid_file.read_text().split("\n")[0]))
            if not {str(self.data), str(self.data.resolve())} & set(process.cmdline()):
                raise psutil.NoSuchProcess(process.pid)
        except (FileNotFoundError, ValueError):
            return
        except psutil.NoSuchProcess:
            # Postgres checks only the number; after a restart of the container it may belong to another process.
            pid_file.unlink(missing_ok=True)
            return
        for sent, grace_s in ((signal.SIGINT, 20), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            process.send_signal(sent)
            try:
                process.wait(grace_s)
                return
            except psutil.TimeoutExpired:
                continue


def has_contrib(url: str) -> bool:
    """Return whether the server has the two extensions that Label Studio's migrations need."""
    with psycopg.connect(url) as conn:
        found = conn.execute("select count(*) from pg_available_extensions where name in ('pg_trgm', 'btree_gin')")
        return found.fetchone() == (2,)


def create_database(url: str, name: str) -> None:
    """Create the database if it is missing."""
    with psycopg.connect(url, autocommit=True) as conn:
        if conn.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is None:
            conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
