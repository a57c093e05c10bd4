"""The commands by which a person decides about versions: promote, refuse, rollback."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from console.cli.output import plain, print_json, show, to_stderr
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from backend.decide.promote import Promotion


def is_agreed(lines: Sequence[str], facts: Mapping[str, Any], *, as_json: bool, dry_run: bool, yes: bool) -> bool:
    """Say what would follow, and ask. False after a dry run; raises click.Abort if the person does not agree."""
    if dry_run:
        print_json(dict(facts)) if as_json else click.echo("\n".join(lines))
        return False
    if as_json and not yes:
        raise UsageError("--json asks nothing: give --yes too, or --dry-run")
    if not yes:
        click.echo("\n".join(lines))
        click.confirm("Do this?", abort=True)
    return True


def me() -> str:
    """Return the login name on this machine. Raises UsageError if there is none, as in a container."""
    name = os.environ.get("USER", "")
    if not name:
        raise UsageError("a decision is stored with a name: give --by NAME or set LABELLOOP_BY")
    return name


def signed_by(text: str, *, always: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --by. With `always` the command needs a name; without, `by` may be None."""
    text += "  [LABELLOOP_BY, else your login name]"
    name = (lambda _, __, given: given or me()) if always else None
    return click.option("--by", envvar="LABELLOOP_BY", metavar="NAME", help=text, callback=name)


def with_a_reason(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --why and --by: a decision is stored with both."""
    by = signed_by("Name of the person who decides.")
    return click.option("--why", required=True, help="Reason, stored with the decision.")(by(command))


@click.command()
@click.argument("version")
@one_of_the_loops
@with_a_reason
@as_json_too
@with_settings
def promote(settings: Settings, version: str, loop: str | None, why: str, by: str, as_json: bool) -> None:
    """Make VERSION the champion. Give its id, or the first characters of it."""
    from backend.decide.promote import promote as hop

    with open_database(settings) as db:
        done = hop(db, one_loop(db, loop), version, by=by, why=why, models_dir=settings.models_dir)
    _show(done, as_json)


@click.command()
@click.argument("run")
@one_of_the_loops
@with_a_reason
@as_json_too
@with_settings
def refuse(settings: Settings, run: str, loop: str | None, why: str, by: str, as_json: bool) -> None:
    """Refuse the version that RUN proposes or has in shadow. Give the run's id, or the first characters of it."""
    from backend.decide.promote import refuse as hop

    with open_database(settings) as db:
        name = one_loop(db, loop)
        done = hop(db, name, run, by=by, why=why)
    show({"loop": name, "run": str(done), "status": "refused", "by": by, "why": why}, as_json)


@click.command()
@one_of_the_loops
@click.option("--to", help="Earlier version to serve again  [the previous champion]")
@with_a_reason
@as_json_too
@with_settings
def rollback(settings: Settings, loop: str | None, to: str | None, why: str, by: str, as_json: bool) -> None:
    """Return to an earlier champion.

    A run that makes a version again which you leave this way asks a person, until a person has promoted it.
    """
    from backend.decide.promote import rollback as hop

    with open_database(settings) as db:
        done = hop(db, one_loop(db, loop), by=by, why=why, to=to, models_dir=settings.models_dir)
    _show(done, as_json)


def _show(done: Promotion, as_json: bool) -> None:
    show(plain(done), as_json)
    if done.what_next:
        to_stderr(done.what_next)


COMMANDS = (promote, refuse, rollback)
