"""The command invite: annotators sign up in Label Studio."""

from __future__ import annotations

from contextlib import closing, suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

import click

from console.cli.output import print_json, to_stderr
from console.cli.wrappers import as_json_too, with_settings
from labelloop.process.settings import Settings


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


COMMANDS = (invite,)
