"""The files of a loop while its labels change: read, compared and written under a lock of the loop, and put back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labelloop.errors import Failed, LabelloopError
from labelloop.spec.folder import FILES, look

if TYPE_CHECKING:
    from labelloop.store.database import Database
    from sync.pull.relabel import Relabelled
    from sync.pull.relabel_plan import Plan

MEANWHILE = "nothing was done, run it again"


def read(folder: Path) -> dict[str, str]:
    """Return the files of the loop by name, letter by letter. Raises Failed if they cannot be read."""
    if not (folder / FILES[0]).exists():
        raise Failed(f"there is no {folder / FILES[0]}: run this where the loops folder is (LABELLOOP_LOOPS_DIR)")
    try:
        return {name: (folder / name).read_bytes().decode() for name in FILES if (folder / name).exists()}
    except (OSError, UnicodeDecodeError) as exc:
        raise Failed(f"a file in {folder} cannot be read: {exc}") from exc


def carry_out(db: Database, folder: Path, texts: Mapping[str, str], found: Plan, by: str, why: str) -> Relabelled:
    """Change the files, then the tables; if the tables refuse, put the files back. A killed command is run again.

    `texts`: the files that the plan knew. Raises Failed, and does nothing, if they or the labels have changed since, or
    if another command is changing labels of this loop.
    """
    from sync.pull.relabel import Relabelled, relabel

    with _alone(db, found):
        if read(folder) != texts:
            raise Failed(f"the files in {folder} have changed meanwhile: {MEANWHILE}")
        try:
            for name, text in found.files.items():
                _write(folder / name, text["after"])
            spec, faults = look(folder)
            if spec is None:
                raise faults[0]
            if found.done is not None:  # only the files were missing
                return Relabelled(0, 0)
            return relabel(
                db, spec, found.wanted, found.created, found.says, found.files, by, why, found.undoes, found.seen
            )
        except BaseException:
            if not _is_stored(db, found):
                _put_back(folder, found)
            raise


@contextmanager
def _alone(db: Database, found: Plan) -> Iterator[None]:
    """Hold the lock on the labels of the loop: nobody else changes its files or its labels meanwhile."""
    from labelloop.store.pipelines import label_changes

    with db.transaction() as conn:
        conn.execute("set local idle_in_transaction_session_timeout = 0")  # a change of many answers takes minutes
        if not label_changes.lock(conn, found.loop):
            raise Failed(f"another command is changing labels of loop {found.loop!r}: {MEANWHILE}")
        if label_changes.newest(conn, found.loop) != found.seen:
            raise Failed(f"the labels have been changed meanwhile: {MEANWHILE}")
        yield


def _is_stored(db: Database, found: Plan) -> bool:
    """Whether the change came into force although the command failed: the reply to its commit was lost, say."""
    from labelloop.store.pipelines import label_changes

    try:
        with db.transaction() as conn:
            changes = label_changes.list_(conn, found.loop)
    except LabelloopError:
        return False  # if it came into force, the same command writes the files again
    return bool(changes) and changes[-1].id > found.seen and changes[-1].words == found.wanted.words


def _put_back(folder: Path, found: Plan) -> None:
    """Restore the files, except those that somebody has changed since."""
    for name, text in found.files.items():
        if (folder / name).read_bytes() == text["after"].encode():
            _write(folder / name, text["before"])


def _write(file: Path, text: str) -> None:
    """Write a file as a whole or not at all, with the rights that it has."""
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(text.encode())
    shutil.copymode(file, part)
    os.replace(part, file)
