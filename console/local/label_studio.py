"""A Label Studio of our own: an environment apart, no calls to the outside, an administrator made without a person.

Like console.local.postgres: `prepare`, then run `command` under any supervisor, then `wait`.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict

from console.local import environment
from console.local.places import KEEP_ALIVE, free_port, write_secret
from console.local.postgres import Command, create_database, has_contrib
from labelloop.errors import Failed, UsageError

ADMINISTRATOR = "admin@console.local"
# Label Studio's own list of addresses that it must not call, without loopback: there our two services listen.
BANNED = (
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "233.252.0.0/24",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001:0000::/32",
    "2001:20::/28",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
)
LOCK_S = 3600
"""So long a task that somebody was served is served to nobody else; Label Studio's own is a day. Nothing renews it, not
even a draft: where one answer takes longer than this, a second person is asked too.
"""
MIGRATIONS = 396
"""Rows of django_migrations once the tables of Label Studio 1.23.2 are made: what a bar shows rests on it, no more."""
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
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Account:
    """The administrator, and the key that signs sessions and personal tokens. Made once, kept in the folder."""

    email: str
    password: str
    token: str
    secret_key: str


class LabelStudio:
    """The server in `folder`, on the Postgres database of `database_url`, or on SQLite where that is empty."""

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
        """Its folder, tables, administrator and token; False when all of it was there already.

        `tick` is told now and then how many migrations are done, and of how many.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if self.is_prepared():
            return False
        log = self.folder / "init.log"
        init = [str(self.python.with_name("label-studio")), "init", "--quiet"]
        self._run("label-studio init", init, self.env(), log, lambda: tick(self._migrated(), MIGRATIONS))
        if not self._has_account():
            # The account is older than our file: an earlier init was killed half way, or the folder was made anew.
            django = self.env() | _DJANGO | {"PYTHONPATH": str(self._package())}
            self._run("resetting the administrator", [str(self.python), "-c", _RESET], django, log)
        (self.folder / "initialised").write_text(self._version())
        return True

    def is_prepared(self) -> bool:
        """Whether this version's tables and our administrator are there."""
        done = self.folder / "initialised"
        return done.exists() and done.read_text() == self._version() and self._has_account()

    def env(self) -> dict[str, str]:
        """The whole environment of its processes: nothing of ours that Label Studio would read by accident."""
        account = self.account
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | self._extra_env
        env |= {
            "LABEL_STUDIO_LATEST_VERSION_CHECK": "false",
            "LABEL_STUDIO_COLLECT_ANALYTICS": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
            "LABEL_STUDIO_USERNAME": account.email,
            "LABEL_STUDIO_PASSWORD": account.password,
            "LABEL_STUDIO_USER_TOKEN": account.token,
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder),
            "LABEL_STUDIO_HOST": self.url,
            "SECRET_KEY": account.secret_key,
            "SSRF_PROTECTION_ENABLED": "true",
            "ML_BLOCK_LOCAL_IP": "true",
            "USE_DEFAULT_BANNED_SUBNETS": "false",
            "USER_ADDITIONAL_BANNED_SUBNETS": ",".join(BANNED),
            "TASK_LOCK_TTL": str(LOCK_S),
            # Bulk predictions in a tenth of a second instead of ten, and wrong ones refused instead of logged.
            "fflag_fix_back_4620_memory_efficient_predictions_import_08012025_short": "true",
            "fflag_feat_utc_210_prediction_validation_15082025": "true",
        }
        if not self.database_url:
            return env | {"DJANGO_DB": "sqlite"}
        said = conninfo_to_dict(self.database_url)
        env |= {
            "DJANGO_DB": "default",
            "POSTGRE_NAME": str(said["dbname"]),
            "POSTGRE_USER": str(said.get("user", "")),
            "POSTGRE_PASSWORD": str(said.get("password", "")),
            "POSTGRE_HOST": str(said.get("host", "127.0.0.1")),
            "POSTGRE_PORT": str(said.get("port", 5432)),
        }
        # Label Studio has no setting for the rest; libpq reads it from the environment.
        return env | {f"PG{name.upper()}": str(said[name]) for name in ("sslmode", "sslrootcert") if name in said}

    def command(self) -> Command:
        """gunicorn in the foreground. SQLite gets one process: two would only wait for each other's locks."""
        package = self._package()
        workers, threads = ("2", "4") if self.database_url else ("1", "8")
        argv = [
            str(self.python), "-m", "gunicorn", "core.wsgi:application", "--preload", "-k", "gthread",
            "--workers", workers, "--threads", threads, "--bind", f"127.0.0.1:{self.port}",
            "--timeout", "300", "--graceful-timeout", "5", "--no-control-socket", *KEEP_ALIVE,
        ]  # fmt: skip
        # Its modules are found by the folder that it runs in.
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
                process.kill()  # as subprocess.run does
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
        """Migrations done so far; 0 while there is no table of them, or it is locked."""
        if self.database_url and self._ask("select to_regclass('django_migrations')") in (None, (None,)):
            return 0  # not asked for: Postgres would write an error into its log each time
        return int((self._ask("select count(*) from django_migrations") or [0])[0])

    def _ask(self, query: str, *values: str) -> Any:
        """The first row of its database; None where there is none, or no such table."""
        try:
            if self.database_url:
                with psycopg.connect(self.database_url) as conn:
                    return conn.execute(query, values).fetchone()
            with closing(sqlite3.connect(self.folder / "label_studio.sqlite3", timeout=0.2)) as lite:
                return lite.execute(query.replace("%s", "?"), values).fetchone()
        except (psycopg.Error, sqlite3.Error):
            return None


def database_for(server_url: str, name: str) -> str:
    """URL of Label Studio's database on this server, made if missing; "" where the server cannot serve it."""
    if not has_contrib(server_url):
        return ""
    try:
        create_database(server_url, name)
    except psycopg.errors.InsufficientPrivilege:
        return ""
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


@contextmanager
def running(folder: Path, *, postgres_url: str = "") -> Iterator[LabelStudio]:
    """A server for the length of the `with`, without a supervisor; on the given Postgres if that can serve it."""
    url = database_for(postgres_url, f"label_studio_{secrets.token_hex(6)}") if postgres_url else ""
    server = LabelStudio(folder, database_url=url)
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
