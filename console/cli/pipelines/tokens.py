"""The commands of tokens: create, rotate, list and revoke."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click

from console.cli.output import print_json, show, to_stderr
from console.cli.wrappers import as_json_too, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings

MOST = 2**31 - 1
"""Largest limit that Postgres stores."""
_UNITS = {"m": 60, "h": 3600, "d": 86400}


def span(ctx: click.Context, param: click.Parameter, value: str | None) -> timedelta | None:
    """Return the length of time that an option gives, such as 30m, 12h or 90d; None without one."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d{1,5})([mhd])", value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no length of time; write 30m, 12h or 90d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def _words(length: timedelta) -> str:
    """Return the length of time as an option gives it, in the largest unit that fits: 24h, 90m."""
    seconds = int(length.total_seconds())
    unit = next((name for name in ("h", "m") if seconds % _UNITS[name] == 0), "m")
    return f"{seconds // _UNITS[unit]}{unit}"


@click.group()
def token() -> None:
    """Manage the tokens of pipelines and of the review pages, and the role that writes into the outbox."""


@token.command(short_help="Create a token and print it.")
@click.argument("name", required=False)
@click.option(
    "--scope",
    help="One or several of submit, read, feedback, review, promote, admin, separated by commas.  "
    "[submit,read with --source or --loop, else review]",
)
@click.option("--loop", help="The only loop that it opens.  [every loop]")
@click.option("--source", help="Name of the pipeline: all outputs that it submits, and all that it may read.  [any]")
@click.option("--expires", callback=span, metavar="30m|12h|90d", help="Time until it expires.  [never]")
@click.option(
    "--requests-per-minute", type=click.IntRange(1, MOST), help="More are refused with status 429.  [no limit]"
)
@click.option("--max-bytes", type=click.IntRange(1, MOST), help="Largest request.  [8 MiB]")
@as_json_too
@with_settings
def create(
    settings: Settings,
    name: str | None,
    scope: str | None,
    loop: str | None,
    source: str | None,
    expires: timedelta | None,
    requests_per_minute: int | None,
    max_bytes: int | None,
    as_json: bool,
) -> None:
    """Create a token and print it, this one time. NAME is the source if left out; decisions are recorded under it."""
    from labelloop.store.tables import access

    name = name or source
    if name is None:
        raise UsageError("a token needs a NAME or a --source: who will use it?")
    scope = scope or ("submit,read" if source or loop else "review")
    scopes = [word.strip() for word in scope.split(",") if word.strip()]
    limits = access.Limits(
        loop, source, datetime.now(UTC) + expires if expires else None, requests_per_minute, max_bytes
    )
    with open_database(settings) as db, db.transaction() as conn:
        made = access.add(conn, name, scopes, limits)
    _print(made, as_json, f"Token of {name}, scopes: {', '.join(scopes)}.", name=name, scopes=scopes)


@token.command(short_help="Replace a token; the previous one stays valid for a while.")
@click.argument("name")
@click.option(
    "--overlap",
    callback=span,
    metavar="30m|12h|90d",
    default="1h",
    show_default=True,
    help="Time for which the previous one works.",
)
@click.option(
    "--end",
    type=click.Choice(["oldest", "newest"]),
    help="While two tokens work: the one that ends at once; the other works until the overlap ends.",
)
@as_json_too
@with_settings
def rotate(settings: Settings, name: str, overlap: timedelta, end: str | None, as_json: bool) -> None:
    """Replace the token of NAME and print the new one, this one time. The previous one works until the overlap ends."""
    from labelloop.store.tables import access

    with open_database(settings) as db, db.transaction() as conn:
        made = access.rotate(conn, name, overlap, end)
    _print(made, as_json, f"New token of {name}; the previous one works for another {_words(overlap)}.", name=name)


@token.command("list", short_help="List names, scopes, limits and times of all tokens.")
@as_json_too
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the name, scopes, limits and times of every token, but not the token itself.

    previous_until: time until which the token before the last rotation still works.
    """
    from labelloop.store.tables import access

    with open_database(settings) as db, db.transaction() as conn:
        rows = access.list_(conn)
    kept = (
        "name",
        "scopes",
        "loop",
        "source",
        "requests_per_minute",
        "max_bytes",
        "created_at",
        "expires_at",
        "previous_until",
        "revoked_at",
    )
    now = datetime.now(UTC)
    rows = [row if (row.previous_until or now) > now else replace(row, previous_until=None) for row in rows]
    show([{key: getattr(row, key) for key in kept} for row in rows], as_json)


@token.command(short_help="Revoke a token at once.")
@click.argument("name")
@with_settings
def revoke(settings: Settings, name: str) -> None:
    """Revoke the token of NAME at once; anybody logged in with it is logged out."""
    from labelloop.store.tables import access

    with open_database(settings) as db, db.transaction() as conn:
        if not access.revoke(conn, name):
            raise access.unknown_name(conn, name)
    to_stderr(f"The token of {name} is revoked.")


@token.command(short_help="Print the SQL that makes a role for the outbox.")
@click.option("--role", default="labelloop_outbox", show_default=True, help="Name of the role in Postgres.")
def outbox(role: str) -> None:
    """Print the SQL that creates a role which may write rows into the table outbox, and do nothing else.

    An administrator of the database runs it: `labelloop token outbox | psql "$ADMIN_URL"`. It contains a new password
    each time; labelloop does not store it.
    """
    from labelloop.store.pipelines import outbox as store

    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise UsageError(f"a role is 1 to 63 of a to z, 0 to 9 and _, no digit first; it is {role!r}")
    click.echo(store.grants(role, secrets.token_urlsafe(24)))


def _print(made: str, as_json: bool, words: str, **more: object) -> None:
    if as_json:
        return print_json({**more, "token": made})
    click.echo(made)
    to_stderr(f"{words} Copy it now: only its hash is stored.")


# The name that `create` had when all tokens were for the review pages.
token.add_command(click.Command("add", callback=create.callback, params=create.params, hidden=True))

COMMANDS = (token,)
