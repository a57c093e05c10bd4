"""The commands about the specs of loops: spec check, spec versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.cli.output import plain, show, to_stderr
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import Failed, LabelloopError, SpecError, UsageError
from labelloop.process.settings import Settings
from labelloop.reading.texts import counted


@click.group()
def spec() -> None:
    """Check the files of loops before they are registered, and list the contents that they have had."""


@spec.command(short_help="Name every mistake in the files of the loops.")
@click.argument("folder", required=False, type=click.Path(exists=True, path_type=Path))
@as_json_too
@with_settings
def check(settings: Settings, folder: Path | None, as_json: bool) -> None:
    """Name every mistake of every loop in FOLDER: a folder of loops, one loop, or its loop.yaml  [the loops folder].

    Each is named in the words of `labelloop migrate`, with loop, line, column and file. Exit status 1 if there is any.
    """
    from backend.learners.of_spec import check as check_learner
    from labelloop.spec.folder import FILES, folders, is_loop, look, unknown_steps

    at = folder or settings.loops_dir
    if at.is_file():
        if at.name not in FILES:
            raise UsageError(f"{at} is no file of a loop: name its loop.yaml, or its folder")
        at = at.parent
    loops = [at] if is_loop(at) else folders(at)
    if not loops:
        raise UsageError(f"there is no loop in {at}: a loop is a folder with a loop.yaml")
    found = []
    for loop in loops:
        spec, faults = look(loop, check_learner)
        known = {file.parent.name for file in loop.absolute().parent.glob("*/loop.yaml")}
        if spec is not None and not known.issuperset(spec.steps.loops):
            faults = unknown_steps(loop, known | _registered(settings))
        found += [(loop, fault) for fault in faults]
    if as_json:
        show([_place(loop, fault) for loop, fault in found], as_json)
    else:
        for _, fault in found:
            click.echo(str(fault))
    if found:
        faulty = len({loop for loop, _ in found})
        raise Failed(f"{len(found)} mistake{'s' * (len(found) > 1)} in {faulty} of {counted(len(loops), 'loop')}")
    to_stderr(f"no mistake in {counted(len(loops), 'loop')}")


@spec.command(short_help="List the versions of a loop's spec.")
@one_of_the_loops
@as_json_too
@with_settings
def versions(settings: Settings, loop: str | None, as_json: bool) -> None:
    """List every content that the loop's spec has had: its number, its trigger, and how many outputs it placed."""
    from labelloop.store.tables import loops

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            found = loops.spec_versions(conn, name)
    rows = [{**plain(version), "sha256": version.sha256.hex()} for version in found]
    show(rows if as_json else [{**row, "sha256": row["sha256"][:12]} for row in rows], as_json)


def _registered(settings: Settings) -> set[str]:
    """Return the names of the loops in the database, archived ones too; none if it cannot be asked."""
    from labelloop.store.tables import loops

    if not settings.database_url:
        return set()
    try:
        with open_database(settings) as db, db.transaction() as conn:
            return set(loops.names(conn, archived=True))
    except LabelloopError:
        return set()


def _place(loop: Path, fault: SpecError) -> dict[str, Any]:
    from labelloop.spec.folder import FILES

    file, _, message = fault.reason.partition(": ")
    if file not in FILES:
        file, message = "", fault.reason
    return {
        "loop": fault.loop,
        "folder": str(loop),
        "file": file or None,
        "line": fault.line,
        "column": fault.column,
        "message": message,
    }


COMMANDS = (spec,)
