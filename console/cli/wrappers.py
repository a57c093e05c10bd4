"""Wrappers that commands share: exit statuses for errors, common options, access to a loop's data."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.data_folder import DATA_DIR, found_data_dir
from console.cli.output import plain, show
from console.cli.roles import ROLES
from labelloop.errors import LabelloopError, Unstorable, UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labelloop.spec.loop import LoopSpec
    from labelloop.store.database import Database

Command = Callable[..., Any]


class CommandGroup(click.Group):
    """Prints an error as one sentence on stderr. Exit status: 1 failure, 2 usage error."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by role; a command without a role is listed under "More"."""
        listed = {name for names in ROLES.values() for name in names}
        others = {name: self.commands[name].get_short_help_str(60) for name in self.commands if name not in listed}
        widest = max(map(len, self.commands))
        for role, names in {**ROLES, "More": others}.items():
            if known := [(name.ljust(widest), line) for name, line in names.items() if name in self.commands]:
                with formatter.section(role):
                    formatter.write_dl(known)

    def invoke(self, ctx: click.Context) -> Any:
        # The pool logs each failed attempt; the sentence at the end is enough.
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        try:
            return super().invoke(ctx)
        except Unstorable as exc:  # bytes of the command line that are not UTF-8 reach Postgres as surrogates
            cause = exc.__cause__
            given = repr(cause.object[:80]) if isinstance(cause, UnicodeEncodeError) else str(exc)
            click.echo(f"labelloop: text cannot be stored: {given}", err=True)
            ctx.exit(2)
        except LabelloopError as exc:
            click.echo(f"labelloop: {exc}", err=True)
            ctx.exit(2 if isinstance(exc, UsageError) else 1)


def with_settings(command: Command) -> Command:
    """Add --data-dir, the folder in which the settings are looked for."""

    @click.option("--data-dir", type=click.Path(path_type=Path), help="Data folder of `labelloop up`  [the last one]")
    @functools.wraps(command)
    def wrapped(data_dir: Path | None, **kwargs: Any) -> Any:
        environ = {**os.environ, DATA_DIR: str(data_dir or found_data_dir(os.environ))}
        return command(settings=Settings.from_env(environ), **kwargs)

    return wrapped


def not_blank(context: click.Context, parameter: click.Parameter, given: Any) -> Any:
    """Callback of an option or argument with one name or several: refuse an empty one."""
    for name in given if isinstance(given, tuple) else (given,):
        if name is not None and not name.strip():
            wanted = parameter.make_metavar(context).strip("[]{}").lower().split("|")
            what = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.human_readable_name
            raise UsageError(f"{what} is {name!r}: give {' or '.join(f'a {one}' for one in wanted)}")
    return given


one_of_the_loops = click.option("--loop", help="Name of the loop; not needed if there is only one.")
all_or_one = click.option("--loop", help="Name of the loop  [all loops]")
as_json_too = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@contextmanager
def open_database(settings: Settings, *, as_owner: bool = False) -> Iterator[Database]:
    """Yield the database; with `as_owner` for the role that owns the tables, if the settings name one."""
    from labelloop.store.database import Database

    settings.require("database_url")
    url = (settings.owner_url if as_owner else "") or settings.database_url
    with Database(url, size=2, actor=_actor()) as db:
        yield db


def _actor() -> str:
    """Return the name for the record: that of --by, else of LABELLOOP_BY, else the login, with the command."""
    context = click.get_current_context(silent=True)
    by = str((context and context.params.get("by")) or os.environ.get("LABELLOOP_BY") or os.environ.get("USER") or "")
    return by or f"labelloop {context.info_name if context else ''}".rstrip()


def loop_names(db: Database, loop: str | None, *, archived: bool = False) -> list[str]:
    """Return the names of all active loops, or of the given one; with `archived`, the given one may be archived."""
    from labelloop.store.tables import loops

    with db.transaction() as conn:
        names, resting = loops.names(conn), loops.resting(conn)
        readable = loops.names(conn, archived=True)
    if loop is None or loop in names or (archived and loop in readable):
        return names if loop is None else [loop]
    if loop in resting:
        raise UsageError(f"loop {loop!r} was {resting[loop]}: `labelloop loop restore {loop}` restores it")
    raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")


def one_loop(db: Database, loop: str | None, *, archived: bool = False) -> str:
    """Return the given loop, else the only one; `archived` as in loop_names."""
    names = loop_names(db, loop, archived=archived)
    if len(names) != 1:
        raise UsageError(f"name a loop with --loop; there are: {', '.join(names) or 'none'}")
    return names[0]


def each_loop(
    settings: Settings, loop: str | None, as_json: bool, hop: Callable[[Database, Any, LoopSpec], object]
) -> None:
    """Run `hop` for each active loop, or for the given one, and print one row per loop."""
    from labelloop.labelstudio.gateway import Gateway
    from labelloop.store.tables import loops

    settings.require("label_studio_url", "label_studio_token")
    rows = []
    with (
        closing(Gateway(settings.label_studio_url, settings.label_studio_token)) as gateway,
        open_database(settings) as db,
    ):
        for name in loop_names(db, loop):
            with db.transaction() as conn:
                spec = loops.get(conn, name)
            if spec is not None:
                rows.append({"loop": name, **plain(hop(db, gateway, spec))})
    show(rows, as_json)
