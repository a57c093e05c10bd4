"""The commands about the record: audit verify, audit show, audit restored."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from console.cli.decisions import with_a_reason
from console.cli.output import print_json, show, to_stderr
from console.cli.wrappers import all_or_one, as_json_too, not_blank, open_database, with_settings
from labelloop.errors import LabelloopError, UsageError
from labelloop.process.settings import Settings


@click.group()
def audit() -> None:
    """Check the record of all changes, or tell the story of an output, a version or a person."""


@audit.command(short_help="Check that the record is whole and that all rows fit it.")
@all_or_one
@as_json_too
@with_settings
def verify(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Check that the record is whole, and that every row that is on record equals its newest entry.

    The chain is computed again from its start and compared with the file of heads. With --loop the rows of this loop
    only are compared; the chain is always checked as a whole. Changes nothing.

    Exit status: 0 nothing is wrong, 1 something is wrong, 2 the record could not be checked.
    """
    from labelloop.process import heads
    from labelloop.store.record import sealing
    from labelloop.store.record import verify as check
    from labelloop.store.record.story import check_loop

    path = heads_file(settings)
    try:
        with open_database(settings) as db:
            with db.transaction() as conn:
                check_loop(conn, loop)
                chain = sealing.newest(conn).chain
            upto = heads.size(path)  # before the snapshot of the check: later heads are not in it
            found = check.verify(db, heads.in_force(path, chain, upto), loop)
            restored = heads.restorations(path, chain, upto)
    except LabelloopError as exc:
        to_stderr(f"labelloop: the record could not be checked: {exc}")
        click.get_current_context().exit(2)
    notes = [
        f"an older backup was restored at {r.at:%Y-%m-%d %H:%M} UTC, says {r.restored_by}: {r.why}" for r in restored
    ]
    if not upto:
        notes.append(f"there is no file of heads {path}: a cut end of the record would not be found")
    if as_json:
        print_json(
            {
                "sealed": found.sealed,
                "tables": found.tables,
                "findings": [asdict(f) for f in found.findings],
                "notes": notes,
            }
        )
    else:
        for finding in found.findings:
            click.echo(f"{finding.kind.upper():<10} {finding.text}")
        for note in notes:
            click.echo(f"{'note':<10} {note}")
        n = len(found.findings)
        wrong = "nothing is wrong" if not n else "1 thing is wrong" if n == 1 else f"{n:,} things are wrong"
        click.echo(f"{found.sealed:,} sealed entries, {found.tables} tables on record: {wrong}")
    click.get_current_context().exit(1 if found.findings else 0)


@audit.command("show", short_help="Tell the story of an output, a version or a person.")
@click.argument("subject", metavar="KEY|VERSION|PERSON", callback=not_blank)
@all_or_one
@as_json_too
@with_settings
def show_story(settings: Settings, subject: str, loop: str | None, as_json: bool) -> None:
    """Tell what happened to an output, to a version, or by a person: when, by whom, and why.

    Give the key of an output, the id of a version or its first digits, or the name or login of a person.
    """
    from labelloop.store.record.story import story

    with open_database(settings) as db, db.transaction() as conn:
        found = story(conn, subject, loop)
    if as_json:
        return print_json({"subject": found.subject, "lines": [asdict(line) for line in found.lines]})
    to_stderr(f"{found.subject}, times in UTC:")
    rows = [
        {
            "time": f"{line.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            "by": line.by,
            "what happened": line.happened,
            "why": line.why,
        }
        for line in found.lines
    ]
    show(rows, as_json=False)


@audit.command(short_help="Say that an older backup was restored on purpose.")
@with_a_reason
@with_settings
def restored(settings: Settings, by: str, why: str) -> None:
    """Add to the file of heads that an older backup was restored: heads beyond its end do not count any more.

    The line stays in the file, with your name and the reason, and `labelloop audit verify` shows it.
    """
    from labelloop.process import heads
    from labelloop.store.record import sealing

    path = heads_file(settings)
    with open_database(settings) as db, db.transaction() as conn:
        newest = sealing.newest(conn)
        first = sealing.first_unknown(conn, heads.in_force(path, newest.chain, heads.size(path)))
    if first is None:
        raise UsageError(f"nothing to add: the record has every head that is in {path}")
    line = heads.Published(newest.chain, newest.head, newest.hash, datetime.now(UTC), by, why, first - 1)
    heads.append(path, line)
    to_stderr(f"the restored record ended before place {first}; earlier heads from there on do not count any more")


def heads_file(settings: Settings) -> Path:
    from labelloop.process.heads import FILE

    return settings.record_heads or settings.data_dir / FILE


COMMANDS = (audit,)
