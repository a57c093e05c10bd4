"""The real servers of the tests: Label Studio with its administrator, Postgres, and a database for a `with`."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
from psycopg import sql

from console.local.postgres import Postgres
from labelloop.store.database import Database

MEMORY = Path("/dev/shm")
MEMORY_FREE = 2 * 2**30
"""Bytes that must be free in memory for the files of a Postgres to be there. A container often has 64 MB."""
WAL = "256MB"
"""Size of the write-ahead log that starts a checkpoint, which gives the memory back; the default is 1 GB."""


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """A running Label Studio and its administrator. `password` is empty where the environment did not say it."""

    url: str
    token: str
    email: str
    password: str

    def sign_up(self, email: str) -> tuple[str, httpx.Client]:
        """A real annotator, made through the invite link: legacy token and a logged-in session. Twice is a login."""
        from console.local.people import sign_up

        asked = httpx.get(f"{self.url}/api/invite", headers={"Authorization": f"Token {self.token}"}, timeout=60)
        session = sign_up(self.url, asked.raise_for_status().json()["invite_url"], email, "password-of-a-test")
        return session.get("/api/current-user/token").raise_for_status().json()["token"], session


@contextmanager
def a_postgres() -> Iterator[Postgres]:
    """Run a server for the length of a `with`, its files in memory if there is room.

    Each test gets a new database, and a database is 300 new files. On a disk, those take longer than most tests.
    """
    in_memory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_FREE
    for left in MEMORY.glob("labelloop-tests-*-*"):  # the files of a run that was killed
        if not psutil.pid_exists(int(left.name.split("-")[2])):
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"labelloop-tests-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=MEMORY if in_memory else None) as folder:
        os.chmod(folder, 0o711)
        postgres = Postgres(Path(folder) / "postgres")
        with postgres:
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
                admin.execute(f"alter system set max_wal_size = '{WAL}'")
                admin.execute("select pg_reload_conf()")
            yield postgres
        postgres.remove()


@contextmanager
def a_database(admin_url: str, name: str, template: str = "template1") -> Iterator[str]:
    """A database for the length of a `with`; yields its URL."""

    def do(statement: str, *names: str) -> None:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    do("create database {} template {}", name, template)
    try:
        yield urlsplit(admin_url)._replace(path=f"/{name}").geturl()
    finally:
        do("drop database if exists {} with (force)", name)


def label_studio_database(postgres_url: str, instance: object) -> str:
    """Return the URL of the database that has this project."""
    with Database(postgres_url) as server, server.transaction() as conn:
        names = [row["datname"] for row in conn.execute("select datname from pg_database where datallowconn")]
    for name in names:
        url = postgres_url.rpartition("/")[0] + f"/{name}"
        with Database(url, size=1) as one, one.transaction() as conn:
            row = conn.execute("select to_regclass('projects_projectmember') is not null as there").fetchone()
            if row and row["there"]:
                query = "select from project where description like %(mark)s"
                if conn.execute(query, {"mark": f"%{instance}%"}).fetchone() is not None:
                    return url
    raise AssertionError("Label Studio's database is not on this server")
