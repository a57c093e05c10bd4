"""The commands for access: invite (Label Studio); token (the review pages, and a role in Postgres)."""

from __future__ import annotations

import re
import secrets
from contextlib import closing, suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

import click

from console.cli.output import print_json, show, to_stderr
from console.cli.wrappers import as_json_too, open_database, with_settings
from labelloop.errors import UsageError
from labelloop.process.settings import Settings


@click.group()
def token() -> None:
    """Manage the tokens that open the review pages, and the role that writes into the outbox."""


@token.command(short_help="Create a token and print it.")
@click.argument("name")
@click.option(
    "--scope", default="review", show_default=True, help="`review` may read, `review,promote` may decide too."
)
@as_json_too
@with_settings
def add(settings: Settings, name: str, scope: str, as_json: bool) -> None:
    """Create a token for NAME and print it, this one time. Decisions made with it are signed NAME."""
    from labelloop.store.tables import access

    scopes = [word.strip() for word in scope.split(",") if word.strip()]
    with open_database(settings) as db, db.transaction() as conn:
        made = access.add(conn, name, scopes)
    if as_json:
        return print_json({"name": name, "scopes": scopes, "token": made})
    click.echo(made)
    to_stderr(f"Token of {name}, scopes: {', '.join(scopes)}. Copy it now: only its hash is stored.")


@token.command(short_help="Print the SQL that makes a role for the outbox.")
@click.option("--role", default="labelloop_outbox", show_default=True, help="Name of the role in Postgres.")
def outbox(role: str) -> None:
    """Print the SQL that creates a role which may write rows into the table outbox, and do nothing else.

    An administrator of the database runs it: `labelloop token outbox | psql "$ADMIN_URL"`. It contains a new password
    each time; labelloop does not store it.
    """
    from labelloop.store import outbox as store

    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
        raise UsageError(f"a role is 1 to 63 of a to z, 0 to 9 and _, no digit first; it is {role!r}")
    click.echo(store.grants(role, secrets.token_urlsafe(24)))


@token.command("list", short_help="List names, scopes and times of all tokens.")
@as_json_too
@with_settings
def list_(settings: Settings, as_json: bool) -> None:
    """List the name, scopes and times of every token, but not the token itself."""
    from labelloop.store.tables import access

    with open_database(settings) as db, db.transaction() as conn:
        rows = access.list_(conn)
    kept = ("name", "scopes", "created_at", "revoked_at")
    show([{key: getattr(row, key) for key in kept} for row in rows], as_json)


@token.command(short_help="Revoke a token at once.")
@click.argument("name")
@with_settings
def revoke(settings: Settings, name: str) -> None:
    """Revoke the token of NAME at once; anybody logged in with it is logged out."""
    from labelloop.store.tables import access

    with open_database(settings) as db, db.transaction() as conn:
        if not access.revoke(conn, name):
            known = ", ".join(row.name for row in access.list_(conn) if row.revoked_at is None)
            raise UsageError(f"no valid token {name!r}; there are: {known or 'none'}")
    to_stderr(f"The token of {name} is revoked.")


@click.command()
@click.option("--reset", is_flag=True, help="Make a new link first; the previous one stops working.")
@as_json_too
@with_settings
def invite(settings: Settings, reset: bool, as_json: bool) -> None:
    """Print the link with which annotators create their account in Label Studio.

    All annotators use the same link, until `--reset` replaces it. Existing accounts stay.
    """
    from labelloop.labelstudio.gateway import Gateway

    settings.require("label_studio_url", "label_studio_token")
    with closing(Gateway(settings.label_studio_url, settings.label_studio_token)) as gateway:
        if reset:
            gateway.reset_invite()
        url = gateway.invite_url()
    if as_json:
        return print_json({"url": url})
    click.echo(url)
    to_stderr(
        "Anybody who has this link can sign up, any number of times. `labelloop invite --reset` replaces it, and this "
        "one then stops working."
    )
    if is_loopback(url):
        to_stderr(
            "The link works on this machine only. From another machine, reach its address through a tunnel or a proxy."
        )


def is_loopback(url: str) -> bool:
    """Whether only this machine can open the address."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


COMMANDS = (invite, token)
