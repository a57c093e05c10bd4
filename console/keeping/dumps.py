"""Dumps of a Postgres database by the programs pg_dump and pg_restore of its installation."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from console.keeping.files import Sink
from console.local.binaries import programs_of
from labelloop.errors import Failed, UsageError


def major_of(url: str) -> int:
    """Return the major version of the server. Raises UsageError if it cannot be reached."""
    try:
        with psycopg.connect(url, connect_timeout=10) as conn:
            return conn.info.server_version // 10_000
    except psycopg.Error as exc:
        raise UsageError(f"cannot connect to {_shown(url)}: {str(exc).strip()}") from exc


def exists(url: str) -> bool:
    """Return whether the server has this database."""
    try:
        psycopg.connect(url, connect_timeout=10).close()
    except psycopg.OperationalError:
        return False
    return True


def is_empty(url: str) -> bool:
    """Return whether the database has no table."""
    with psycopg.connect(url, connect_timeout=10) as conn:
        row = conn.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
    return row == (0,)


def dump(url: str, sink: Sink) -> None:
    """Write the database as it is at one moment, while others go on writing."""
    words, env = _program("pg_dump", url)
    words += ["--format=custom", "--no-owner", "--no-privileges"]
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while chunk := process.stdout.read(1 << 20):
            sink.write(chunk)
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise Failed(f"pg_dump of {_shown(url)} ended with {process.returncode}: {said}")


def restore(url: str, chunks: Iterator[bytes]) -> None:
    """Load a dump into an empty database, in one transaction."""
    words, env = _program("pg_restore", url)
    words += ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges"]
    with subprocess.Popen(words, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            for chunk in chunks:
                process.stdin.write(chunk)
            process.stdin.close()
        except BrokenPipeError:
            pass  # its message says why
        said = process.stderr.read().decode(errors="replace").strip()
    if process.returncode != 0:
        raise Failed(f"pg_restore into {_shown(url)} ended with {process.returncode}: {said}")


def _program(name: str, url: str) -> tuple[list[str], dict[str, str]]:
    """Return the command without the password, which other users of the machine could read, and its environment."""
    given = conninfo_to_dict(url)
    password = str(given.get("password") or "")
    without = make_conninfo(**{name: str(value) for name, value in given.items() if name != "password"})
    env = {"PATH": os.defpath, "LC_ALL": "C", "PGPASSWORD": password, "HOME": os.environ.get("HOME", "/")}
    program: Path = programs_of(major_of(url)) / name
    return [str(program), f"--dbname={without}"], env


def _shown(url: str) -> str:
    given = conninfo_to_dict(url)
    return f"database {given.get('dbname')} at {given.get('host')}:{given.get('port', 5432)}"
