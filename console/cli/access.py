"""The commands that let people in: invite to Label Studio; token add, list, revoke to the review pages."""

from __future__ import annotations

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
    """Who may look at the review pages, and who may decide there."""


@token.command()
@click.argument("name")
@click.option("--scope", default="review", show_default=True, help="review: may look. review,promote: may decide too.")
@as_json_too
@with_settings
def add(settings: Settings, name: str, scope: str, as_json: bool) -> None:
    """Make a token for NAME, who signs decisions with it; it is printed this once."""
    from labelloop.store.tables import access

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
    from labelloop.store.tables import access

    with open_database(settings) as db, db.transaction() as conn:
        rows = access.list_(conn)
    kept = ("name", "scopes", "created_at", "revoked_at")
    show([{key: getattr(row, key) for key in kept} for row in rows], as_json)


@token.command()
@click.argument("name")
@with_settings
def revoke(settings: Settings, name: str) -> None:
    """End NAME's token at once, also for whoever is logged in with it."""
    from labelloop.store.tables import access

    with open_database(settings) as db, db.transaction() as conn:
        if not access.revoke(conn, name):
            known = ", ".join(row.name for row in access.list_(conn) if row.revoked_at is None)
            raise UsageError(f"no valid token {name!r}; there are: {known or 'none'}")
    to_stderr(f"The token of {name} opens nothing any more.")


@click.command()
@click.option("--reset", is_flag=True, help="Make a new link first: the one before it opens nothing any more.")
@as_json_too
@with_settings
def invite(settings: Settings, reset: bool, as_json: bool) -> None:
    """Print the link by which annotators make themselves an account in Label Studio.

    There is one link for all. Each person who has it can sign up, until `--reset` makes another; accounts stay.
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
        "Everybody who has this link can sign up, as often as they like. `labelloop invite --reset` makes another, "
        "and this one then opens nothing."
    )
    if is_loopback(url):
        to_stderr(
            "It leads to this machine only: from another one its address must be reached through a tunnel or proxy."
        )


def is_loopback(url: str) -> bool:
    """Whether only this machine can open the address."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


COMMANDS = (invite, token)
