"""An embedded Label Studio: in its own Python environment, without calls to the outside, with an administrator.

As in console.local.postgres: call `prepare`, run `command` under any supervisor, then `wait`.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg

from console.local import environment
from console.local.label_studio_settings import Account, environment_of
from console.local.places import KEEP_ALIVE, free_port, write_secret
from console.local.postgres import Command, create_database, has_contrib
from labelloop.errors import Failed, UsageError

ADMINISTRATOR = "admin@labelloop.local"
MIGRATIONS = 396
"""Rows of django_migrations when all tables of Label Studio 1.23.2 are created; used by the progress bar only."""
_DJANGO = {"DJANGO_SETTINGS_MODULE": "core.settings.label_studio", "APP_WEBSERVER": "uwsgi"}
_RESET = """
import os, django
django.setup()
from rest_framework.authtoken.models import Token
from users.models import User
user = User.objects.get(email=os.environ["LABEL_STUDIO_USERNAME"])
user.set_password(os.environ["LABEL_STUDIO_PASSWORD"])
user.is_staff = user.is_superuser = True
user.save()
Token.objects.filter(user=user).delete()
Token.objects.create(user=user, key=os.environ["LABEL_STUDIO_USER_TOKEN"])
"""


class LabelStudio:
    """The server in `folder`, on the Postgres database of `database_url`, or on SQLite if that is empty."""

    def __init__(
        self, folder: Path, *, port: int = 0, database_url: str = "", extra_env: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self.database_url = database_url
        python = environment.find_python()
        if python is None:
            raise UsageError(
                "Label Studio is not installed: `labelloop up` does that, and `make setup` in a checkout; or name the "
                f"Python of its environment in {environment.NAMED}"
            )
        self.python = python
        self._extra_env = dict(extra_env or {})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def account(self) -> Account:
        file = self.folder / "account.json"
        if not file.exists():
            made = Account(ADMINISTRATOR, secrets.token_urlsafe(15), secrets.token_hex(20), secrets.token_hex(32))
            write_secret(file, json.dumps({name: getattr(made, name) for name in Account.__slots__}))
        return Account(**json.loads(file.read_text()))

    def prepare(self, tick: Callable[[int, int], object] = lambda done, of: None) -> bool:
        """Create the folder, tables, administrator and token. Returns False if all of them existed.

        `tick` is called repeatedly with the number of migrations done and their total.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if self.is_prepared():
            return False
        log = self.folder / "init.log"
        init = [str(self.python.with_name("label-studio")), "init", "--quiet"]
        self._run("label-studio init", init, self.env(), log, lambda: tick(self._migrated(), MIGRATIONS))
        if not self._has_account():
            # The account does not match our file: an earlier init was killed, or the folder was created again.
            django = self.env() | _DJANGO | {"PYTHONPATH": str(self._package())}
            self._run("resetting the administrator", [str(self.python), "-c", _RESET], django, log)
        (self.folder / "initialised").write_text(self._version())
        return True

    def is_prepared(self) -> bool:
        """Return whether this version's tables and our administrator exist."""
        done = self.folder / "initialised"
        return done.exists() and done.read_text() == self._version() and self._has_account()

    def env(self) -> dict[str, str]:
        """Return the whole environment of its processes."""
        return environment_of(self.account, self.folder, self.url, self.database_url, self._extra_env)

    def command(self) -> Command:
        """Return the command of gunicorn. On SQLite it has one process, because two would block each other."""
        package = self._package()
        workers, threads = ("2", "4") if self.database_url else ("1", "8")
        argv = [
            str(self.python), "-m", "gunicorn", "core.wsgi:application", "--preload", "-k", "gthread",
            "--workers", workers, "--threads", threads, "--bind", f"127.0.0.1:{self.port}",
            "--timeout", "300", "--graceful-timeout", "5", "--no-control-socket", *KEEP_ALIVE,
        ]  # fmt: skip
        # Python finds Label Studio's modules in the working directory.
        return Command(argv, str(package), self.env() | _DJANGO)

    def is_up(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5).is_success
        except httpx.HTTPError:
            return False

    def wait(self, seconds: float = 180.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.is_up():
            if time.monotonic() > deadline:
                raise Failed(f"Label Studio does not answer at {self.url} after {seconds:g} s")
            time.sleep(0.2)

    def _run(
        self, what: str, argv: list[str], env: dict[str, str], log: Path, meanwhile: Callable[[], object] = lambda: None
    ) -> None:
        with (
            log.open("ab") as out,
            subprocess.Popen(
                argv, env=env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            ) as process,
        ):
            try:
                while process.poll() is None:
                    meanwhile()
                    time.sleep(0.5)
            except BaseException:
                process.kill()  # as in subprocess.run
                raise
        if process.returncode != 0:
            raise Failed(f"Label Studio cannot be set up: {what} ended with {process.returncode}; its log is {log}")

    def _package(self) -> Path:
        return next(self._site_packages().glob("label_studio"))

    def _version(self) -> str:
        return next(self._site_packages().glob("label_studio-*.dist-info")).name.split("-")[1]

    def _site_packages(self) -> Path:
        for place in self.python.parent.parent.glob("lib/python*/site-packages"):
            if (place / "label_studio").is_dir():
                return place
        raise UsageError(f"there is no Label Studio in the environment of {self.python}")

    def _has_account(self) -> bool:
        return self._ask("select 1 from authtoken_token where key = %s", self.account.token) is not None

    def _migrated(self) -> int:
        """Return the number of migrations done; 0 while their table is missing or locked."""
        if self.database_url and self._ask("select to_regclass('django_migrations')") in (None, (None,)):
            return 0  # a query of a missing table would add an error to the log of Postgres each time
        return int((self._ask("select count(*) from django_migrations") or [0])[0])

    def _ask(self, query: str, *values: str) -> Any:
        """Return the first row of a query of its database; None without a row or without the table."""
        try:
            if self.database_url:
                with psycopg.connect(self.database_url) as conn:
                    return conn.execute(query, values).fetchone()
            with closing(sqlite3.connect(self.folder / "label_studio.sqlite3", timeout=0.2)) as lite:
                return lite.execute(query.replace("%s", "?"), values).fetchone()
        except (psycopg.Error, sqlite3.Error):
            return None


def database_for(server_url: str, name: str) -> str:
    """Create Label Studio's database if it is missing, and return its URL; "" if the server cannot be used for it."""
    if not has_contrib(server_url):
        return ""
    try:
        create_database(server_url, name)
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


@contextmanager
def running(
    folder: Path, *, postgres_url: str = "", extra_env: Mapping[str, str] | None = None
) -> Iterator[LabelStudio]:
    """Run a server for the length of the `with`, without a supervisor; on the given Postgres if it can be used."""
    url = database_for(postgres_url, f"label_studio_{secrets.token_hex(6)}") if postgres_url else ""
    server = LabelStudio(folder, database_url=url, extra_env=extra_env)
    server.prepare()
    command = server.command()
    with (server.folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command.argv, cwd=command.cwd, env=command.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    try:
        server.wait()
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
