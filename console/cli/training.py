"""The commands that train or score: retrain, replay, rescore."""

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
@click.option("--why", default="requested on the command line", show_default=True, help="Reason, stored with the run.")
@signed_by("With --stop: name of the person who stops it.", always=False)
@click.option("--wait", is_flag=True, help="Wait for the verdict.")
@click.option("--stop", is_flag=True, help="Stop the running run and the queued one; the champion keeps serving.")
@as_json_too
@with_settings
def retrain(
    settings: Settings, loop: str | None, why: str, by: str | None, wait: bool, stop: bool, as_json: bool
) -> None:
    """Ask the backend to train a challenger and to evaluate it, or stop that run."""
    from labelloop.store.tables import jobs, loops, runs

    if stop and wait:
        raise UsageError("give --stop or --wait, not both")
    with open_database(settings) as db:
        name = one_loop(db, loop)
        if stop:
            by = by or me()
            with db.transaction() as conn:
                ended = [run for run in runs.open_runs(conn, name) if runs.ask_to_stop(conn, run.id, by, why)]
            if not ended:
                raise UsageError(f"no run of {name} is queued or running: there is nothing to stop")
            now = {"running": "stops within seconds", "queued": "stopped"}
            return show([{"loop": name, "run": str(run.id), "now": now[run.status]} for run in ended], as_json)
        with db.transaction() as conn:
            if (spec := loops.get(conn, name)) is not None:
                spec.require_learner()
            run = runs.request(conn, name, why)
            jobs.ask(conn, jobs.RETRAIN, name)
            # Skip runs that only judge a version again: one of those may be newer.
            trains = run or next((one.id for one in runs.latest(conn, name) if one.judges is None), None)
        if not wait:
            words = "merged into the run that is already queued" if run is None else str(run)
            return show({"loop": name, "run": words}, as_json)
        if trains is None:
            raise UsageError(f"no run was requested: loop {name!r} was archived a moment ago")
        with progress() as tick:
            done = _wait_for_verdict(db, trains, tick)
    show({k: getattr(done, k) for k in ("id", "status", "reasons", "error")}, as_json)
    if done.status == "failed":
        raise Failed(f"the run failed: {done.error}")


@click.command()
@click.argument("run")
@click.option("--loop", help="Name of the loop, if the first characters of RUN are ambiguous.")
@as_json_too
@with_settings
def replay(settings: Settings, run: str, loop: str | None, as_json: bool) -> None:
    """Train RUN again and compare the result with its version. Give its id, or the first characters of it.

    Uses the same answers, seed and parameters in a new process. Nothing is stored. Exit status 1: the versions differ.
    """
    from backend.train.replay import replay as again

    with open_database(settings) as db:
        done = again(db, settings, loop, run)
    show(plain(done), as_json)
    if not done.same:
        raise Failed(f"the replay made another version; what differs: {', '.join(done.differs) or 'no known cause'}")


@click.command()
@one_of_the_loops
@click.option("--on", type=click.Choice(["local", "loky", "dask"]), default="local", show_default=True,
              help="Where to compute: this process, several processes here, or a Dask cluster.")  # fmt: skip
@click.option(
    "--cluster", default="", metavar="ADDRESS", help="With dask: address of the scheduler, such as tcp://host:8786."
)
@click.option("--workers", type=click.IntRange(min=1), help="With loky: number of processes  [one per core]")
@as_json_too
@with_settings
def rescore(settings: Settings, loop: str | None, on: str, cluster: str, workers: int | None, as_json: bool) -> None:
    """Recompute labels and utilities of all waiting outputs with the current models.

    The backend also does this after each new version.
    """
    from backend.score.prelabel import champion_and_ranker, prelabel
    from labelloop.store.tables import prelabels
    from labelloop.versions.version import VersionPair

    with open_database(settings) as db, progress() as tick:
        name = one_loop(db, loop)
        began = time.monotonic()
        with db.transaction() as conn:
            of = prelabels.count_stale(conn, name, VersionPair.of(*champion_and_ranker(conn, name)))

        def report_progress(done: int) -> None:
            tick(f"scoring outputs of {name}", done, of)

        report_progress(0)
        n = prelabel(
            db,
            name,
            settings.models_dir,
            on=on,
            cluster=cluster,
            workers=workers or 0,
            report_progress=report_progress,
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
            raise Failed(f"run {run_id} was deleted")
        if run.status not in ("queued", "running"):
            return run
        at = run.progress or {"step": run.status, "done": 0, "of": 0}
        tick(f"run {str(run.id)[:8]}: {at['step']}", at["done"], at["of"])
        time.sleep(0.5)
    raise Unreachable("no verdict within 15 minutes: is the backend's worker running?")


COMMANDS = (retrain, replay, rescore)
