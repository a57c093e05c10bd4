"""Backup: what a machine needs to go on with its loops, written into one folder while everything runs.

Our database is dumped before Label Studio's. So a restored Label Studio may have tasks and answers that our database
lacks, never the other way round: the next pull adopts them. The model files come after the dump that names them, and
no such file ever changes.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from console.keeping import dumps
from console.keeping.files import Manifest, Writing
from console.local.postgres import Postgres
from labelloop.errors import UsageError
from labelloop.process.settings import Settings
from labelloop.process.ups import is_held

OURS, THEIRS = "labelloop.dump", "label-studio.dump"
MODELS, LOOPS, FILES = "models.tar", "loops.tar", "label-studio-files.tar"
SETTINGS = "settings.env"
SQLITE = "label_studio.sqlite3"
_NO_FILES = ("server.log", "init.log", SQLITE, f"{SQLITE}-wal", f"{SQLITE}-shm", f"{SQLITE}-journal")
"""Files of Label Studio's folder that are logs, or are copied in another way."""


def write(
    settings: Settings,
    folder: Path,
    key_file: Path | None,
    label_studio_database: str,
    announce: Callable[[str], object],
) -> Manifest:
    """Write the backup into a new folder, and return its manifest.

    `label_studio_database`: URL of the database of a Label Studio that `labelloop up` did not start; "" for the one
    that it started, if any.
    """
    writing = Writing(folder, key_file)
    with _database(settings) as ours:
        manifest = _manifest(ours)
        theirs = label_studio_database or _beside(ours)
        own_folder = settings.data_dir / "label-studio"
        lite = own_folder / SQLITE
        with writing.file(OURS) as sink:
            dumps.dump(ours, sink)
        announce("labelloop's database is dumped")
        if theirs:
            with writing.file(THEIRS) as sink:
                dumps.dump(theirs, sink)
            manifest.label_studio = "postgres"
        elif lite.exists():
            manifest.label_studio = "sqlite"
        else:
            announce("Label Studio's database is NOT in this backup: name it with --label-studio-database")
    if own_folder.is_dir():
        with writing.tar(FILES) as tar:
            tar.add(own_folder, ".", filter=lambda one: None if Path(one.name).name in _NO_FILES else one)
            if manifest.label_studio == "sqlite":
                with _copy_of(lite) as copy:
                    tar.add(copy, SQLITE)
    if manifest.label_studio:
        announce("Label Studio's data is dumped")
    if settings.models_dir is not None and settings.models_dir.is_dir():
        with writing.tar(MODELS) as tar:
            for file in sorted(settings.models_dir.glob("*.skops")):
                tar.add(file, file.name)
    if settings.loops_dir.is_dir():
        with writing.tar(LOOPS) as tar:
            tar.add(settings.loops_dir, ".")
    with writing.file(SETTINGS) as sink:
        sink.write("".join(f"{name}={value}\n" for name, value in settings.to_env().items()).encode())
    writing.finish(manifest)
    return manifest


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """Yield the URL of our database; the Postgres of a data folder is started if no `up` runs on it."""
    own = settings.data_dir / "postgres"
    if own.is_dir() and not is_held(settings.data_dir):
        with Postgres(own) as server:
            yield server.url("labelloop")
        return
    settings.require("database_url")
    with nullcontext(settings.owner_url or settings.database_url) as url:
        yield url


def _manifest(url: str) -> Manifest:
    try:
        with psycopg.connect(url, connect_timeout=10) as conn:
            revision = _one(conn, "select version_num from labelloop_migrations")
            rows: list[tuple[Any, ...]] = conn.execute(
                "select name, (select count(*) from outputs where loop = name) from loops where removed_at is null"
            ).fetchall()
    except psycopg.errors.UndefinedTable as exc:
        raise UsageError("the database lacks labelloop's tables: there is nothing to back up") from exc
    return Manifest(
        labelloop=version("labelloop"),
        revision=revision,
        postgres=dumps.major_of(url),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        loops={name: int(n) for name, n in rows},
        label_studio="",
    )


def _one(conn: psycopg.Connection[Any], query: str) -> str:
    row = conn.execute(query).fetchone()
    return "" if row is None else str(row[0])


def _beside(url: str) -> str:
    """Return the URL of the database of the Label Studio that `up` started on this server; "" if there is none."""
    given = conninfo_to_dict(url)
    found = make_conninfo(url, dbname=f"{given.get('dbname')}_label_studio")
    return found if dumps.exists(found) else ""


@contextmanager
def _copy_of(lite: Path) -> Iterator[Path]:
    """Yield a copy of an SQLite database, as it is at one moment."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / SQLITE
        with closing(sqlite3.connect(lite)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        yield copy
