"""The commands for a loop's project in Label Studio: project recreate."""

from __future__ import annotations

import click

from console.cli.door import as_json_too, each_loop, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.process.settings import Settings


@click.group()
def project() -> None:
    """A loop's project in Label Studio."""


@project.command()
@one_of_the_loops
@as_json_too
@with_settings
def recreate(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Make a new project for a loop whose project or tasks were deleted, and ask there what is still open.

    Answers that were pulled stay and count. Where the project stands with its tasks nothing is replaced: twice is once.
    """
    from sync.recreate import recreate as again

    with open_database(settings) as db:
        name = one_loop(db, loop)
    each_loop(settings, name, as_json, lambda db, gateway, spec: again(db, gateway, spec, settings))


COMMANDS = (project,)
