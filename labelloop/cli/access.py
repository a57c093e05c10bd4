"""The command that says who may look at the review pages, and who may decide there: token add, list, revoke."""

from __future__ import annotations

import click

from labelloop.cli.door import as_json_too, open_database, with_settings
from labelloop.cli.shown import plain, print_json, show, to_stderr
from labelloop.errors import UsageError
from labelloop.settings import Settings


@click.group()
def token() -> None:
    """Who may look at the review pages, and who may decide there."""


@token.command()
@click.argument("name")
@click.option("--scope", default="review", show_default=True, help="review: may look. review,promote: may decide too.")
@as_json_too
@with_settings
def add(settings: Settings, name: str, scope: str, as_json: bool) -> None:
    """Make a token for NAME, who signs decisions with it; it is printed this once."""
    from labelloop.store import access

    scopes = [word.strip() for word in scope.split(",") if word.strip()]
    with open_database(settings) as db, db.transaction() as conn:
        made = access.add(conn, name, scopes)
    if as_json:
        return print_json({"name": name, "scopes": scopes, "token": made})
    click.echo(made)
    to_stderr(f"This is the token of {name}, for {' and '.join(scopes)}. It is shown this once: only its hash is kept.")


@token.command("list")
@as_json_too
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """Every token's name, scopes and times; never the token."""
    from labelloop.store import access

    with open_database(settings) as db, db.transaction() as conn:
        rows = access.list_(conn)
    show([plain(row) for row in rows], as_json)


@token.command()
@click.argument("name")
@with_settings
def revoke(settings: Settings, name: str) -> None:
    """End NAME's token at once, also for whoever is logged in with it."""
    from labelloop.store import access

    with open_database(settings) as db, db.transaction() as conn:
        if not access.revoke(conn, name):
            known = ", ".join(row["name"] for row in access.list_(conn) if row["revoked_at"] is None)
            raise UsageError(f"no valid token {name!r}; there are: {known or 'none'}")
    to_stderr(f"The token of {name} opens nothing any more.")


COMMANDS = (token,)
