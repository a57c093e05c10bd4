"""Begin: register a new loop with the services that run, and submit its first outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from console.cli.output import to_stderr
from console.cli.wrappers import open_database
from labelloop.errors import Unreachable, UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.spec.loop import LoopSpec


def refuse_known(settings: Settings, name: str, folder: Path) -> None:
    """Raise UsageError if the services know a loop of this name. Its folder is another one, so that a second spec would
    replace the first.
    """
    from labelloop.store.tables import loops

    if not settings.database_url:
        return
    try:
        with open_database(settings) as db, db.transaction() as conn:
            known = name in loops.names(conn, archived=True)
    except Unreachable:
        return
    if known:
        raise UsageError(
            f"the services have a loop {name!r} already, and {folder} is not its folder: choose another name, or "
            "submit to that loop"
        )


def register(settings: Settings, spec: LoopSpec) -> bool:
    """Register the loop in the database. Return False if the services do not run."""
    from backend.learners.of_spec import check
    from labelloop.store.tables import loops

    if not (settings.database_url and settings.sync_url and settings.intake_token):
        return False
    check(spec)
    try:
        with open_database(settings) as db, db.transaction() as conn:
            loops.register(conn, spec)
    except Unreachable:
        return False
    return True


def submit(settings: Settings, outputs: Path, name: str) -> bool:
    """Submit the outputs. Return False if the services do not run."""
    from console.cli.pipelines.transfer import where
    from console.files.lines import Source
    from console.files.send import send
    from labelloop.client import Client

    try:
        with Client(settings.sync_url, settings.intake_token, attempts=2) as client:
            sent = send(client, Source(str(outputs)).lines(), name, skip_bad=False)
    except Unreachable:
        return False
    known = f"; {sent.known} were known" if sent.known else ""
    to_stderr(f"submitted {sent.new} outputs{known}\n{where(settings, name)}")
    return True
