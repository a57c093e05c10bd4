"""The commands that do one hop: submit, push, pull, retrain, replay, promote, refuse, rollback."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from console.cli.door import (
    all_or_one,
    as_json_too,
    each_loop,
    one_loop,
    one_of_the_loops,
    open_database,
    with_settings,
)
from console.cli.progress import Tick, counted, progress
from console.cli.shown import plain, show
from labelloop.errors import Failed, Unreachable, UsageError
from labelloop.process.settings import Settings
from labelloop.versions.runs import RetrainRun

if TYPE_CHECKING:
    from uuid import UUID

    from labelloop.spec.loop import LoopSpec
    from labelloop.store.database import Database


def me() -> str:
    """The login name on this machine: a container has none, and a decision is never signed by nobody."""
    name = os.environ.get("USER", "")
    if not name:
        raise UsageError("who decides? Say --by NAME, or set LABELLOOP_BY: the name goes on record with the decision")
    return name


def signed_by(text: str, *, always: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Adds --by. `always`: the command is refused without a name; else `by` may be None."""
    said = f"{text} Your login name, or LABELLOOP_BY, unless it is given."
    name = (lambda _, __, given: given or me()) if always else None
    return click.option("--by", envvar="LABELLOOP_BY", metavar="NAME", help=said, callback=name)


def with_a_reason(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --why and --by: a decision is on record with both."""
    by = signed_by("Who decides.")
    return click.option("--why", required=True, help="The reason, for the record.")(by(command))


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option("--encoding", help="Of FILE, such as cp1252; UTF-8, or what its first bytes say, where not given.")
@one_of_the_loops
@as_json_too
@with_settings
def submit(settings: Settings, file: Any, encoding: str | None, loop: str | None, as_json: bool) -> None:
    """Submit the outputs in FILE (one JSON object a line; - for standard input). Twice is once."""
    from labelloop.client import Client
    from labelloop.reading.tables import outputs_of

    settings.require("sync_url", "intake_token")
    with Client(settings.sync_url, settings.intake_token) as client, progress() as tick:
        receipt = client.submit_lines(counted(file, outputs_of(file, file.name, encoding), tick), loop=loop)
    show({"new": receipt.new, "known": receipt.known}, as_json)


@click.command()
@all_or_one
@as_json_too
@with_settings
def push(settings: Settings, loop: str | None, as_json: bool) -> None:
    """Fill the window in Label Studio with the most useful outputs, now; sets right what was changed in the project."""
    from labelloop.labelstudio.inspection import Inspection
    from sync.project.mend import mend
    from sync.project.project import ensure_project
    from sync.push.push import push as hop

    def mended(db: Database, gateway: Any, spec: LoopSpec) -> object:
        """Whoever calls it by hand may well have been told by `doctor` that it repairs the project."""
        ensure_project(db, gateway, spec, settings)
        with Inspection(settings.label_studio_url, settings.label_studio_token) as studio:
            mend(db, studio, spec)
        return hop(db, gateway, spec, settings)

    each_loop(settings, loop, as_json, mended)


@click.command()
@all_or_one
@click.option("--full", is_flag=True, help="Look at every task, not only at those that changed.")
@click.option(
    "--confirm-deletions", is_flag=True, help="With --full: the missing tasks were deleted on purpose, all of them."
)
@as_json_too
@with_settings
def pull(settings: Settings, loop: str | None, full: bool, confirm_deletions: bool, as_json: bool) -> None:
    """Read back what people answered in Label Studio, now."""
    from sync.pull.pull import pull as hop

    if confirm_deletions and not full:
        raise UsageError("--confirm-deletions needs --full: only a full pull looks for missing tasks")
    each_loop(
        settings,
        loop,
        as_json,
        lambda db, gateway, spec: hop(db, gateway, spec, full=full, confirm_deletions=confirm_deletions),
    )


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
@click.argument("version")
@one_of_the_loops
@with_a_reason
@as_json_too
@with_settings
def promote(settings: Settings, version: str, loop: str | None, why: str, by: str, as_json: bool) -> None:
    """Make VERSION (its id, or the first characters of it) the champion."""
    from backend.decide.promote import promote as hop

    with open_database(settings) as db:
        done = hop(db, one_loop(db, loop), version, by=by, why=why, models_dir=settings.models_dir)
    show(plain(done), as_json)


@click.command()
@click.argument("run")
@one_of_the_loops
@with_a_reason
@as_json_too
@with_settings
def refuse(settings: Settings, run: str, loop: str | None, why: str, by: str, as_json: bool) -> None:
    """Refuse what RUN (its id, or the first characters of it) asks you to promote, or has in shadow."""
    from backend.decide.promote import refuse as hop

    with open_database(settings) as db:
        name = one_loop(db, loop)
        done = hop(db, name, run, by=by, why=why)
    show({"loop": name, "run": str(done), "status": "refused", "by": by, "why": why}, as_json)


@click.command()
@one_of_the_loops
@click.option("--to", help="An earlier version; the one before the champion where none is named.")
@with_a_reason
@as_json_too
@with_settings
def rollback(settings: Settings, loop: str | None, to: str | None, why: str, by: str, as_json: bool) -> None:
    """Go back to an earlier champion."""
    from backend.decide.promote import rollback as hop

    with open_database(settings) as db:
        done = hop(db, one_loop(db, loop), by=by, why=why, to=to, models_dir=settings.models_dir)
    show(plain(done), as_json)


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


COMMANDS = (
    submit,
    push,
    pull,
    retrain,
    replay,
    promote,
    refuse,
    rollback,
)
