"""The command that shows a person the own page: people link."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from console.cli.output import print_json, to_stderr
from console.cli.wrappers import as_json_too, not_blank, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.process.settings import Settings


@click.command(short_help="Print the link to a person's own page.")
@click.argument("person", callback=not_blank)
@click.option("--days", type=click.IntRange(1, 365), default=30, show_default=True, help="Days until it expires.")
@one_of_the_loops
@as_json_too
@with_settings
def link(settings: Settings, person: str, days: int, loop: str | None, as_json: bool) -> None:
    """Print a link for PERSON, which shows how PERSON works and nothing about others. It needs no login.

    PERSON is a name, an address, `user 7` or an id, as `labelloop people` shows it.
    """
    from backend.review.own_page import link as signed
    from labelloop.store.people import who

    settings.require("secret_key")
    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            somebody = who.named(conn, name, person)
    until = datetime.now(UTC) + timedelta(days=days)
    url = signed(settings, name, somebody.ids[0], until)
    if as_json:
        return print_json({"loop": name, "person": somebody.name, "url": url, "until": until})
    click.echo(url)
    to_stderr(f"For {somebody.name}, until {until:%Y-%m-%d}. Anybody who has the link can open the page.")
