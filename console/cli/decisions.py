"""The commands by which a person decides about versions: promote, refuse, rollback."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from console.cli.output import plain, show
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings


def me() -> str:
    """The login name on this machine: a container has none, and a decision is never signed by nobody."""
    name = os.environ.get("USER", "")
    if not name:
        raise UsageError("who decides? Say --by NAME, or set LABELLOOP_BY: the name goes on record with the decision")
    return name


def signed_by(text: str, *, always: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds --by. `always`: the command is refused without a name; else `by` may be None."""
    said = f"{text} Your login name, or LABELLOOP_BY, unless it is given."
    name = (lambda _, __, given: given or me()) if always else None
    return click.option("--by", envvar="LABELLOOP_BY", metavar="NAME", help=said, callback=name)


def with_a_reason(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --why and --by: a decision is on record with both."""
    by = signed_by("Who decides.")
    return click.option("--why", required=True, help="The reason, for the record.")(by(command))


@click.command()
@click.argument("version")
@one_of_the_loops
@with_a_reason
@as_json_too
@with_settings
def promote(settings: Settings, version: str, loop: str | None, why: str, by: str, as_json: bool) -> None:
    """Make VERSION (its id, or the first characters of it) the champion."""
    from backend.decide.promote import promote as hop

    with open_database(settings) as db:
        done = hop(db, one_loop(db, loop), version, by=by, why=why, models_dir=settings.models_dir)
    show(plain(done), as_json)


@click.command()
@click.argument("run")
@one_of_the_loops
@with_a_reason
@as_json_too
@with_settings
def refuse(settings: Settings, run: str, loop: str | None, why: str, by: str, as_json: bool) -> None:
    """Refuse what RUN (its id, or the first characters of it) asks you to promote, or has in shadow."""
    from backend.decide.promote import refuse as hop

    with open_database(settings) as db:
        name = one_loop(db, loop)
        done = hop(db, name, run, by=by, why=why)
    show({"loop": name, "run": str(done), "status": "refused", "by": by, "why": why}, as_json)


@click.command()
@one_of_the_loops
@click.option("--to", help="An earlier version; the one before the champion where none is named.")
@with_a_reason
@as_json_too
@with_settings
def rollback(settings: Settings, loop: str | None, to: str | None, why: str, by: str, as_json: bool) -> None:
    """Go back to an earlier champion."""
    from backend.decide.promote import rollback as hop

    with open_database(settings) as db:
        done = hop(db, one_loop(db, loop), by=by, why=why, to=to, models_dir=settings.models_dir)
    show(plain(done), as_json)


COMMANDS = (promote, refuse, rollback)
