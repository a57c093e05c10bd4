"""The commands about a loop's rule: spec check, try."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import show, to_stderr
from console.cli.wrappers import as_json_too, with_settings
from labelloop.errors import Failed, SpecError, UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from labelloop.spec.loop import LoopSpec

FILES = ("loop.yaml", "labels.xml")


@click.group()
def spec() -> None:
    """Check the files of loops before they are registered."""


@spec.command(short_help="Name every mistake in the files of the loops.")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@as_json_too
@with_settings
def check(settings: Settings, folder: Path | None, as_json: bool) -> None:
    """Name every mistake of every loop in FOLDER: a folder of loops, or one loop  [the loops folder of the settings].

    Each is named in the words of `labelloop migrate`, with loop, line, column and file. Exit status 1 if there is any.
    """
    from backend.learners.of_spec import check as check_learner
    from labelloop.spec.folder import look

    at = folder or settings.loops_dir
    loops = [at] if (at / "loop.yaml").exists() else sorted(file.parent for file in at.glob("*/loop.yaml"))
    if not loops:
        raise UsageError(f"there is no loop in {at}: a loop is a folder with a loop.yaml")
    found = [(loop, fault) for loop in loops for fault in look(loop, check_learner)[1]]
    if as_json:
        show([_place(loop, fault) for loop, fault in found], as_json)
    else:
        for _, fault in found:
            click.echo(str(fault))
    if found:
        faulty = len({loop for loop, _ in found})
        raise Failed(f"{len(found)} mistake{'s' * (len(found) > 1)} in {faulty} of {_count(len(loops), 'loop')}")
    to_stderr(f"no mistake in {_count(len(loops), 'loop')}")


@click.command("try", short_help="Tell which outputs of a file would be asked, and why.")
@click.argument("file", type=click.File("rb"))
@click.option("--encoding", help="Encoding of FILE, such as cp1252  [its byte order mark, else UTF-8]")
@click.option("--loop", help="Name of the loop; not needed if the loops folder has only one.")
@as_json_too
@with_settings
def try_(settings: Settings, file: Any, encoding: str | None, loop: str | None, as_json: bool) -> None:
    """Tell for each output in FILE whether people would be asked, in which lane, and why. Nothing is stored.

    FILE has one JSON object per line; - is standard input. The rule is that of the loop's folder, so neither a server
    nor a database is needed. Exit status 1 if a line would be refused.
    """
    from labelloop.reading.tables import outputs_of
    from sync.intake.trying import tried

    lines = enumerate(outputs_of(file, file.name, encoding), start=1)
    rows = list(tried(_from_disk(settings, loop), ((n, line) for n, line in lines if line.strip())))
    show([asdict(row) for row in rows], as_json)
    refused = sum(row.lane is None for row in rows)
    to_stderr(f"{sum(row.asked for row in rows)} of {_count(len(rows), 'output')} would be asked")
    if refused:
        raise Failed(f"{refused} of {_count(len(rows), 'line')} would be refused")


def _from_disk(settings: Settings, loop: str | None) -> LoopSpec:
    """Return the spec in the loops folder. Raises UsageError if it has no such loop, SpecError for a mistake in it."""
    from labelloop.reading.nearest import did_you_mean, some
    from labelloop.spec.folder import load

    names = sorted(file.parent.name for file in settings.loops_dir.glob("*/loop.yaml"))
    if loop is None and len(names) != 1:
        raise UsageError(f"name a loop with --loop; {some(names) if names else f'{settings.loops_dir} has none'}")
    if loop is not None and loop not in names:
        raise UsageError(f"no loop {loop!r} in {settings.loops_dir}{did_you_mean(loop, names)}; {some(names)}")
    return load(settings.loops_dir / (loop or names[0]))


def _place(loop: Path, fault: SpecError) -> dict[str, Any]:
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


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


COMMANDS = (spec, try_)
