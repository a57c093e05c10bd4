"""`labelloop report progress`: what more answers would bring, and whether the field's criteria say stop."""

from __future__ import annotations

import click

from console.cli.output import print_json
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.process.settings import Settings


@click.command()
@one_of_the_loops
@as_json_too
@with_settings
def progress(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Say what more answers would bring: the learning curve, continued.

    It says how many more answers the next points of accuracy take, with limits, and what they cost in people's time. It
    uses the stored evaluations of earlier versions and trains nothing. With too few versions, or where nothing rises
    beyond chance, it says so. Then it shows the stopping criteria that others use.
    """
    from backend.report.estimates.progress import progress_report

    with open_database(settings) as db:
        name = one_loop(db, loop, archived=True)
        with db.transaction() as conn:
            found = progress_report(conn, name)
    if as_json:
        return print_json(found)
    click.echo("\n".join([*found["sentences"], "", *(f"{one['name']}: {one['words']}" for one in found["stopping"])]))
