"""The real servers of the tests: Label Studio with its administrator, Postgres, and a database for a `with`."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
from psycopg import sql

from console.local.postgres import USER, Command, Postgres
from labelloop.store.database import Database

MEMORY = Path("/dev/shm")
MEMORY_FREE = 2 * 2**30
"""Bytes that must be free in memory for the files of a Postgres to be there. A container often has 64 MB."""
PATIENT = {"ML_CONNECTION_TIMEOUT": "30", "ML_TIMEOUT_HEALTH": "30", "ML_TIMEOUT_SETUP": "30"}
"""Settings of Label Studio: seconds that it waits for an ML backend. Its own 1 and 3 s are few where tests share a
machine: a backend that answers a moment late is then shown as not connected.
"""
WAL = "256MB"
"""Size of the write-ahead log that starts a checkpoint, which gives the memory back; the default is 1 GB."""


_LOGINS: dict[tuple[str, str], httpx.Cookies] = {}
"""By server and email: the cookies of a session."""


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """A running Label Studio and its administrator. `password` is empty where the environment did not say it."""

    url: str
    token: str
    email: str
    password: str

    def sign_up(self, email: str) -> tuple[str, httpx.Client]:
        """A real annotator, made through the invite link: legacy token and a logged-in session.

        A second call in this process goes on with the login of the first: to check a password, Label Studio takes half
        a second of processor time.
        """
        from console.local.people import sign_up

        known = _LOGINS.get((self.url, email))
        if known is not None:
            headers = {"Referer": self.url, "X-CSRFToken": known["csrftoken"]}
            session = httpx.Client(base_url=self.url, timeout=60, headers=headers, cookies=known)
        else:
            asked = httpx.get(f"{self.url}/api/invite", headers={"Authorization": f"Token {self.token}"}, timeout=60)
            session = sign_up(self.url, asked.raise_for_status().json()["invite_url"], email, "password-of-a-test")
        token = session.get("/api/current-user/token").raise_for_status().json()["token"]
        _LOGINS[self.url, email] = httpx.Cookies(session.cookies)
        return token, session


class Light(Postgres):
    """A server that costs tests little: it never waits for a disk, and a login by SCRAM does not take 4,096 hashes.

    A test kills processes, but it does not cut the power. A wrong password is refused by MD5 too.
    """

    settings: Mapping[str, str] = MappingProxyType({})
    """More settings of the server, by name."""

    def prepare(self) -> None:
        super().prepare()
        rules = self.data / "pg_hba.conf"
        rules.write_text(rules.read_text().replace("scram-sha-256", "md5"))

    def command(self) -> Command:
        made = super().command()
        light = {"fsync": "off", "full_page_writes": "off", **self.settings}
        return replace(made, argv=[*made.argv, *(word for k, v in light.items() for word in ("-c", f"{k}={v}"))])

    def end_at_once(self) -> None:
        """Shut down as after a crash: every connection ends, and the next start recovers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(60)

    def set_password(self, admin: psycopg.Connection[Any]) -> None:
        """Store the password as a login by MD5 needs it; until then, SCRAM is used."""
        admin.execute("set password_encryption = 'md5'")
        change = sql.SQL("alter role {} password {}")
        admin.execute(change.format(sql.Identifier(USER), sql.Literal(self.password)))


@contextmanager
def a_postgres(**settings: str) -> Iterator[Light]:
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
        postgres = Light(Path(folder) / "postgres")
        postgres.settings = settings
        with postgres:
            with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
                postgres.set_password(admin)
                admin.execute(f"alter system set max_wal_size = '{WAL}'")
                admin.execute("select pg_reload_conf()")
            yield postgres
        postgres.remove()


@contextmanager
def a_database(admin_url: str, name: str, template: str = "template1") -> Iterator[str]:
    """A database for the length of a `with`; yields its URL.

    A copy of the template's files takes less processor time than a copy through the log (34 ms instead of 46).
    """

    def do(statement: str, *names: str) -> None:
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    do("create database {} template {} strategy file_copy", name, template)
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
