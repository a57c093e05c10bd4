"""The commands that train and that score waiting outputs: retrain, replay, rescore."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from console.cli.decisions import me, signed_by
from console.cli.output import plain, show
from console.cli.progress import Tick, progress
from console.cli.wrappers import as_json_too, one_loop, one_of_the_loops, open_database, with_settings
from labelloop.errors import Failed, Unreachable, UsageError
from labelloop.process.settings import Settings

if TYPE_CHECKING:
    from uuid import UUID

    from labelloop.store.database import Database
    from labelloop.versions.runs import RetrainRun


@click.command()
@one_of_the_loops
@click.option("--why", default="asked for on the command line", show_default=True, help="The reason, for the record.")
@signed_by("With --stop: who stops it.", always=False)
@click.option("--wait", is_flag=True, help="Wait for the verdict.")
@click.option("--stop", is_flag=True, help="Stop the run that is going, and the one that waits; the champion stays.")
@as_json_too
@with_settings
def retrain(
    settings: Settings, loop: str | None, why: str, by: str | None, wait: bool, stop: bool, as_json: bool
) -> None:
    """Ask the backend to train a challenger and to judge it; or stop it."""
    from labelloop.store.tables import jobs, loops, runs

    if stop and wait:
        raise UsageError("--stop and --wait: one of the two")
    with open_database(settings) as db:
        name = one_loop(db, loop)
        if stop:
            by = by or me()
            with db.transaction() as conn:
                ended = [run for run in runs.open_runs(conn, name) if runs.ask_to_stop(conn, run.id, by, why)]
            if not ended:
                raise UsageError(f"no run of {name} is queued or running: there is nothing to stop")
            said = {"running": "stops within seconds", "queued": "stopped"}
            return show([{"loop": name, "run": str(run.id), "now": said[run.status]} for run in ended], as_json)
        with db.transaction() as conn:
            if (spec := loops.get(conn, name)) is not None:
                spec.require_learner()
            run = runs.request(conn, name, why)
            jobs.ask(conn, jobs.RETRAIN, name)
            # Not one that only judges a version again, which may be newer and go first.
            trains = run or next((one.id for one in runs.latest(conn, name) if one.judges is None), None)
        if not wait:
            said_run = "folded into the run that is queued already" if run is None else str(run)
            return show({"loop": name, "run": said_run}, as_json)
        if trains is None:
            raise UsageError(f"no run is asked for: loop {name!r} was archived just now")
        with progress() as tick:
            done = _wait_for_verdict(db, trains, tick)
    show({k: getattr(done, k) for k in ("id", "status", "reasons", "error")}, as_json)
    if done.status == "failed":
        raise Failed(f"the run failed: {done.error}")


@click.command()
@click.argument("run")
@click.option("--loop", help="Name of the loop, where the first characters of RUN do not tell.")
@as_json_too
@with_settings
def replay(settings: Settings, run: str, loop: str | None, as_json: bool) -> None:
    """Train RUN (its id, or the first characters of it) again and say whether the same version comes of it.

    The same answers, seed and parameters, in a fresh process; nothing is kept. Exit status 1: another version.
    """
    from backend.train.replay import replay as again

    with open_database(settings) as db:
        done = again(db, settings, loop, run)
    show(plain(done), as_json)
    if not done.same:
        raise Failed(f"another version came of it; what differs: {', '.join(done.differs) or 'nothing that is known'}")


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


def _wait_for_verdict(db: Database, run_id: UUID, tick: Tick) -> RetrainRun:
    from labelloop.store.tables import runs

    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        with db.transaction() as conn:
            run = runs.get(conn, run_id)
        if run is None:
            raise Failed(f"run {run_id} is gone")
        if run.status not in ("queued", "running"):
            return run
        at = run.progress or {"step": run.status, "done": 0, "of": 0}
        tick(f"run {str(run.id)[:8]}: {at['step']}", at["done"], at["of"])
        time.sleep(0.5)
    raise Unreachable("no verdict within 15 minutes: is the backend's worker running?")


COMMANDS = (retrain, replay, rescore)
