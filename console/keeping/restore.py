"""Restore: a backup becomes a new data folder, or fills empty databases. Everything is checked before anything is
written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from console.keeping import dumps
from console.keeping.backup import FILES, LOOPS, MODELS, OURS, SETTINGS, THEIRS
from console.keeping.files import Manifest, Reading
from console.local import folder as data_folder
from console.local.places import write_secret
from console.local.ports import FILE as PORTS
from console.local.postgres import Postgres
from labelloop.errors import UsageError
from labelloop.process.settings import FILE
from labelloop.process.ups import HOLDER
from labelloop.store.migrate import known_revisions

Announce = Callable[[str], object]
_OF_THE_OLD = (
    "DATA_DIR",
    "DATABASE_URL",
    "OWNER_URL",
    "RECORD_HEADS",
    "LABEL_STUDIO_URL",
    "SYNC_URL",
    "BACKEND_URL",
    "LOOPS_DIR",
    "MODELS_DIR",
)
"""Settings that name places of the machine that was backed up."""
_OF_A_FAILED_UP = {HOLDER, PORTS}
"""Files that an `up` leaves which failed before it started anything."""


@dataclass(frozen=True, slots=True)
class Databases:
    """Empty databases that a backup is restored into; "" leaves that part out."""

    ours: str = ""
    label_studio: str = ""


def into_folder(source: Path, key_file: Path | None, data_dir: Path, announce: Announce) -> Manifest:
    """Make a new data folder, with which `labelloop up` goes on. Its Postgres is an embedded one."""
    reading = _checked(source, key_file)
    announce("every file of the backup is as it was written")
    if data_dir.exists() and {file.name for file in data_dir.iterdir()} - _OF_A_FAILED_UP:
        raise UsageError(f"{data_dir} is not empty: a backup is restored into a new data folder")
    with data_folder.held(data_dir):
        with Postgres(data_dir / "postgres") as server:
            _fits(reading.manifest, server.url("postgres"))
            ours = server.create_database("labelloop")
            dumps.restore(ours, reading.chunks(OURS))
            _mark(ours)
            if reading.has(THEIRS):
                dumps.restore(server.create_database("labelloop_label_studio"), reading.chunks(THEIRS))
        announce("the databases are restored")
        for name, where in ((MODELS, "models"), (LOOPS, "labeling_configs"), (FILES, "label-studio")):
            if reading.has(name):
                reading.extract(name, data_dir / where)
        _write_settings(reading, data_dir)
    return reading.manifest


def into_databases(source: Path, key_file: Path | None, into: Databases, models_dir: Path | None) -> Manifest:
    """Fill empty databases, and the folder of the models if our database is among them."""
    reading = _checked(source, key_file)
    for url in filter(None, (into.ours, into.label_studio)):
        _fits(reading.manifest, url)
        if not dumps.is_empty(url):
            raise UsageError("the database has tables: a backup is restored into an empty database")
    if into.label_studio and not reading.has(THEIRS):
        raise UsageError("Label Studio's database is not in this backup")
    if into.ours:
        dumps.restore(into.ours, reading.chunks(OURS))
        _mark(into.ours)
        if models_dir is not None and reading.has(MODELS):
            reading.extract(MODELS, models_dir)  # named by their hashes: a file that is there already is the same
    if into.label_studio:
        dumps.restore(into.label_studio, reading.chunks(THEIRS))
    return reading.manifest


def _checked(source: Path, key_file: Path | None) -> Reading:
    """Return the backup after all of it was read and checked."""
    reading = Reading(source, key_file)
    revision = reading.manifest.revision
    if revision not in known_revisions():
        raise UsageError(
            f"the backup has the schema {revision}, which this labelloop does not know: it was written by labelloop "
            f"{reading.manifest.labelloop}; restore it with that version or a later one"
        )
    return reading


def _fits(manifest: Manifest, url: str) -> None:
    if (there := dumps.major_of(url)) < manifest.postgres:
        raise UsageError(
            f"the backup was made of a Postgres {manifest.postgres}, and this server is a Postgres {there}: it takes "
            "no dump of a later one"
        )


def _mark(url: str) -> None:
    """Have the next push of each loop compare all tasks first: Label Studio may have some that this database lacks."""
    with psycopg.connect(url) as conn:
        conn.execute("update projects set swept_at = null, restored_at = now() where project_id is not null")


def _write_settings(reading: Reading, data_dir: Path) -> None:
    """Keep the secrets and switches of the settings. `up` writes the addresses of this machine."""
    dropped = {f"LABELLOOP_{name}" for name in _OF_THE_OLD}
    kept = [
        line
        for line in b"".join(reading.chunks(SETTINGS)).decode().splitlines()
        if line.partition("=")[0] not in dropped and line.partition("=")[2]
    ]
    kept += [f"LABELLOOP_LOOPS_DIR={data_dir / 'labeling_configs'}", f"LABELLOOP_MODELS_DIR={data_dir / 'models'}"]
    write_secret(data_dir / FILE, "\n".join(kept) + "\n")
