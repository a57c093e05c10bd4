"""Retrain: the worker's side of a run. A child process does the fit; only this module changes a run's status."""

from __future__ import annotations

import logging
import threading
from typing import Any
from uuid import UUID

from backend import models
from backend.decide.again import ask_again
from backend.decide.judge import judge
from backend.decide.promote import close, switch, withdrawn
from backend.train.child import ERROR_CHARACTERS, Children, Heard, Order, Stopped, train_in
from backend.train.retrying import retrying
from labelloop.errors import ChampionChanged, Conflict, LabelloopError, Retriable, Unreachable
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops, runs, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun, RunStatus, try_again

CONDITIONS = {
    RunStatus.ASKING: "if a person decides so",
    RunStatus.SHADOW: "if it also passes in shadow, on answers from now on",
}
"""Condition that a passed gate still depends on, by the run's status: the end of the verdict's first reason."""
logger = logging.getLogger(__name__)


def retrain(
    database: Database, settings: Settings, loop: str, stop: threading.Event, children: Children | None = None
) -> RunStatus | None:
    """Do the queued run of the loop. Returns its final status; None if no run is queued, or it was given back."""
    with database.transaction() as conn:
        spec = loops.at_work(conn, loop)
        if spec is None:
            return None
        runs.hold_answers_still(conn)
        # The epoch is read first, so that a change of champion between the two reads is found at the end of the run.
        epoch = version_store.epoch(conn, loop)
        champion = version_store.champion(conn, loop)
        run = runs.claim(conn, loop, None if champion is None else champion.id)
    if run is None:
        return None
    logger.info("loop %s: run %s started, answers up to %d", loop, run.id, run.feedback_upto)
    heard = Heard(settings.hide)
    children = children or Children(settings)
    try:
        outcome = train_in(children, Order(run.id, spec.retrain), heard, lambda: _beat(database, run.id, heard), stop)
        if not retrying(lambda: _beat(database, run.id, heard)):
            raise Stopped
    except Stopped:
        return retrying(lambda: _leave(database, spec, run), for_s=2)
    try:
        status = retrying(lambda: _apply(database, settings, spec, run, epoch, outcome))
    except Retriable:
        raise  # nothing is wrong with the run: the worker repeats the job
    except Exception as exc:
        logger.exception("loop %s: run %s cannot be judged", loop, run.id)
        error = settings.hide(f"it cannot be judged: {type(exc).__name__}: {exc}")[:ERROR_CHARACTERS]
        status = retrying(lambda: _end(database, spec, run, RunStatus.FAILED, error=error))
    # A stop that was asked for before the verdict was written wins.
    status = retrying(lambda: _leave(database, spec, run)) or status
    logger.info("loop %s: run %s %s", loop, run.id, status)
    return status


def heal(database: Database) -> None:
    """Fail the runs whose worker has exited, request them again, and make sure that queued runs have a job.

    If a loop cannot be read, the others are still done.
    """
    with database.transaction() as conn:
        for run in runs.fail_stale(conn):
            again = run.stop_asked_by is None and try_again(
                [row.status for row in runs.latest(conn, run.loop) if row.status != RunStatus.QUEUED]
            )
            logger.warning("loop %s: run %s lost its worker%s", run.loop, run.id, ": requested again" if again else "")
            if again and run.judges is not None:
                runs.request_again(conn, run.loop, run.judges, run.why, seed=run.seed)
            elif again:
                runs.request(conn, run.loop, run.why, seed=run.seed)
        names = loops.names(conn)
        for loop in runs.queued_loops(conn):
            jobs.ask(conn, jobs.RETRAIN, loop)
    # Answers committed at the moment when the last run ended may have joined its request without being in any run.
    for loop in names:
        try:
            with database.transaction() as conn:
                if spec := loops.get(conn, loop):
                    jobs.ask_for_more(conn, spec)
        except Unreachable:
            raise
        except Exception as exc:
            logger.warning("loop %s: could not check for new answers: %s: %s", loop, type(exc).__name__, exc)


def _apply(
    database: Database, settings: Settings, spec: LoopSpec, run: RetrainRun, epoch: int, outcome: dict[str, Any]
) -> RunStatus:
    """Judge the child's version by the gate and apply the verdict, in one transaction."""
    if "error" in outcome:
        return _end(database, spec, run, RunStatus.FAILED, error=outcome["error"])
    if "refused" in outcome:
        return _end(database, spec, run, RunStatus.REFUSED, reasons=[outcome["refused"]])
    version_id, notes = outcome["version"], outcome["notes"]
    decision, evaluation = judge(database, spec, run, outcome)
    evaluation["champion_epoch"] = epoch
    reasons = [*decision.reasons, *notes]
    if version_id == run.champion_id:
        reasons = ["the challenger is byte for byte the same as the champion: refused", *notes]
    elif decision.promote:
        try:
            models.load(settings.models_dir, version_id)  # in a fresh process, from the file that will serve
            return _pass(database, spec, run, epoch, reasons=reasons, version_id=version_id, scores=evaluation)
        except ChampionChanged:
            reasons = ["it passed the gate, but the champion changed meanwhile: it is judged again", *reasons]
            what = {"reasons": reasons, "version_id": version_id, "scores": evaluation}
            return _end(database, spec, run, RunStatus.REFUSED, again=True, **what)
        except Conflict as exc:
            reasons = [f"it passed the gate, but {exc}: refused", *reasons]
        except Unreachable:
            raise
        except LabelloopError as exc:
            return _end(database, spec, run, RunStatus.FAILED, error=str(exc))
    return _end(database, spec, run, RunStatus.REFUSED, reasons=reasons, version_id=version_id, scores=evaluation)


def _pass(
    database: Database, spec: LoopSpec, run: RetrainRun, epoch: int, *, reasons: list[str], **what: Any
) -> RunStatus:
    """Handle a challenger that passed, by gate.promotion: promote it, ask a person, or run it in shadow.

    A person is also asked if a person has refused the same version, or has gone back from it to an earlier champion.
    The same holds if it was trained on accepted outputs whose certificate does not stand any more.
    """
    status = {"auto": RunStatus.PROMOTED, "ask": RunStatus.ASKING, "shadow": RunStatus.SHADOW}[spec.gate.promotion]
    because = ""
    with database.transaction() as conn:
        verdicts.hold(conn, spec.name)
        older = verdicts.undecided(conn, spec.name)
        if version_store.epoch(conn, spec.name) != epoch:
            raise ChampionChanged(f"the champion of {spec.name} has changed meanwhile")
        if person := verdicts.refused_by(conn, spec.name, what["version_id"]):
            status, because = RunStatus.ASKING, f", because {person} has refused the same version"
        elif why := withdrawn(conn, what["version_id"], run.id):
            status, because = RunStatus.ASKING, f", because {why}"
        # Happens only for a run that judges again: its version is as old as at the first verdict.
        if newer := [one for one in older if one.cut > run.cut]:
            raise Conflict(f"run {newer[0].id} passed it with a newer version and waits for a decision")
        if status != RunStatus.PROMOTED:
            reasons = [f"{reasons[0]}, {CONDITIONS[status]}{because}", *reasons[1:]]
        if not runs.finish(conn, run.id, status, reasons=reasons, **what):
            return RunStatus.FAILED
        if status == RunStatus.PROMOTED:
            switch(conn, spec.name, what["version_id"], by="gate", why=reasons[0], epoch=epoch)
        elif spec.gate.promotion == "shadow" and (first := [one for one in older if one.status == RunStatus.SHADOW]):
            # Otherwise no shadow would ever end if runs come more often than a shadow lasts.
            raise Conflict(f"run {first[0].id} is in shadow and must be judged first")
        else:
            version_store.reconsider(conn, what["version_id"])
            for waits in older:
                with_what = _difference(run, what["version_id"], waits)
                close(conn, waits, f"run {run.id} passed the gate with {with_what} and takes its place: refused")
            jobs.ask(conn, jobs.PRELABEL, spec.name)  # the newest version ranks, whatever the decision will be
        if status == RunStatus.SHADOW:
            jobs.ask(conn, jobs.SHADOW, spec.name)
        jobs.ask_for_more(conn, spec)
    return status


def _difference(run: RetrainRun, version_id: str, earlier: RetrainRun) -> str:
    """Return what the version that passed in `run` has, compared with the one that waits for a decision."""
    if version_id == earlier.version_id:
        return "the same version"
    return "newer answers" if earlier.cut < run.cut else "another version"


def _end(
    database: Database, spec: LoopSpec, run: RetrainRun, status: RunStatus, *, again: bool = False, **what: Any
) -> RunStatus:
    """Finish a run with this status. `again`: request another verdict on its version, against the present champion."""
    with database.transaction() as conn:
        if not runs.finish(conn, run.id, status, **what):
            return RunStatus.FAILED  # another worker has ended it
        if version_id := what.get("version_id"):
            version_store.refuse(conn, version_id)
            jobs.ask(conn, jobs.PRELABEL, spec.name)  # refused as champion, but it ranks as the newest version
            if again:
                champion = version_store.champion(conn, spec.name)
                ask_again(conn, run, version_id, None if champion is None else champion.id)
        jobs.ask_for_more(conn, spec)
    return status


def _leave(database: Database, spec: LoopSpec, run: RetrainRun) -> RunStatus | None:
    """Stop a run that was asked to stop; give back a run that only lost its worker. Leaves other runs as they are."""
    with database.transaction() as conn:
        if runs.stop_if_asked(conn, run.id):
            jobs.ask_for_more(conn, spec)
            return RunStatus.STOPPED
        runs.release(conn, run.id)
    return None


def _beat(database: Database, run_id: UUID, heard: Heard) -> bool:
    try:
        with database.transaction() as conn:
            return runs.beat(conn, run_id, heard.progress, heard.log)
    except Unreachable:
        return True  # while Postgres is unreachable, no other worker can have taken the run
