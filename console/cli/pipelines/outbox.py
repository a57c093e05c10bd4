"""The commands for the table outbox: list, retry and discard its refused rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import click

from console.cli.output import print_json, show, to_stderr
from console.cli.wrappers import all_or_one, as_json_too, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

SHOWN = 20
"""Refused rows that `list` prints."""
some_rows = click.argument("ids", nargs=-1, type=int, metavar="ID...")


@click.group()
def outbox() -> None:
    """Show the rows of the table outbox that cannot be stored; retry or discard them."""


@outbox.command("list", short_help="Count the rows, and list the newest refused ones.")
@all_or_one
@as_json_too
@with_settings
def list_(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Count the rows of each loop, and list the newest refused rows with the reason."""
    from labelloop.store.pipelines import outbox as store

    with open_database(settings) as db, db.transaction() as conn:
        counts = [count for count in store.counts(conn) if loop in (None, count.loop)]
        refused = store.refused(conn, loop, SHOWN)
    if as_json:
        return print_json({"loops": list(map(asdict, counts)), "refused": list(map(asdict, refused))})
    if not counts:
        to_stderr("The outbox is empty.")
        return None
    show([asdict(count) for count in counts], as_json=False)
    if refused:
        click.echo()
        show([{name: asdict(row)[name] for name in ("id", "loop", "written_at", "problem")} for row in refused], False)


@outbox.command(short_help="Let refused rows be taken again.")
@some_rows
@click.option("--all", "everything", is_flag=True, help="All refused rows, or all of the loop.")
@all_or_one
@with_settings
def retry(settings: Settings, ids: Sequence[int], everything: bool, loop: str | None) -> None:
    """Let the worker take refused rows again, for example after their loop was restored."""
    from labelloop.store.pipelines import outbox as store

    if bool(ids) == everything:
        raise UsageError("name the rows by their ids, or pass --all")
    with open_database(settings) as db, db.transaction() as conn:
        n = store.retry(conn, loop, None if everything else ids)
    to_stderr(f"{n} rows wait to be taken again.")


@outbox.command(short_help="Delete refused rows.")
@some_rows
@with_settings
def discard(settings: Settings, ids: Sequence[int]) -> None:
    """Delete refused rows for good."""
    from labelloop.store.pipelines import outbox as store

    if not ids:
        raise UsageError("name the rows by their ids; `labelloop outbox list` shows them")
    with open_database(settings) as db, db.transaction() as conn:
        deleted = store.discard(conn, ids)
    for id_ in ids:
        if id_ not in deleted:
            to_stderr(f"row {id_}: no refused row with this id")
    to_stderr(f"{len(deleted)} refused row{'s are' if len(deleted) != 1 else ' is'} deleted.")


COMMANDS = (outbox,)
