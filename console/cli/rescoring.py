"""The command that scores what waits anew, here or on other machines."""

from __future__ import annotations

import time

import click

from console.cli.door import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from console.cli.progress import progress
from console.cli.shown import show
from labelloop.process.settings import Settings


@click.command()
@one_of_the_loops
@click.option("--on", type=click.Choice(["local", "loky", "dask"]), default="local", show_default=True,
              help="In this process, in several of this machine, or on a cluster.")  # fmt: skip
@click.option("--cluster", default="", metavar="ADDRESS", help="With dask: its scheduler, such as tcp://host:8786.")
@click.option("--workers", type=click.IntRange(min=1), help="With loky: processes; one for each core unless said.")
@as_json_too
@with_settings
def rescore(settings: Settings, loop: str | None, on: str, cluster: str, workers: int | None, as_json: bool) -> None:
    """Give what waits today's labels and utilities, now. The backend does it by itself after each new version."""
    from backend.score.prelabel import champion_and_ranker, prelabel
    from labelloop.store.tables import prelabels
    from labelloop.versions.version import VersionPair

    with open_database(settings) as db, progress() as tick:
        name = one_loop(db, loop)
        began = time.monotonic()
        with db.transaction() as conn:
            of = prelabels.count_stale(conn, name, VersionPair.of(*champion_and_ranker(conn, name)))

        def told(done: int) -> None:
            tick(f"outputs of {name} scored", done, of)

        told(0)
        n = prelabel(
            db,
            name,
            settings.models_dir,
            on=on,
            cluster=cluster,
            workers=workers or 0,
            report_progress=told,
            settings=settings,
        )
    show({"loop": name, "outputs": n, "seconds": round(time.monotonic() - began, 1)}, as_json)


COMMANDS = (rescore,)
