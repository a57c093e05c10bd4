"""Retrain: the worker's side of a run. The fit happens in a child process; only here may a run's status change."""

from __future__ import annotations

import logging
import threading
from typing import Any
from uuid import UUID

from backend import models
from backend.decide.again import ask_again
from backend.decide.judge import judge
from backend.decide.promote import close, switch
from backend.train.child import ERROR_CHARACTERS, Children, Heard, Order, Stopped, train_in
from backend.train.retrying import retrying
from labelloop.errors import ChampionChanged, Conflict, LabelloopError, Retriable, Unreachable
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import jobs, loops, runs, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun, RunStatus, try_again

WAITS = {
    RunStatus.ASKING: "if a person says so",
    RunStatus.SHADOW: "if it holds in shadow, on what people answer from now on",
}
logger = logging.getLogger(__name__)


def retrain(
    database: Database, settings: Settings, loop: str, stop: threading.Event, children: Children | None = None
) -> RunStatus | None:
    """Do the queued run of the loop, if there is one. Returns how it ended; None: nothing to do, or given back."""
    with database.transaction() as conn:
        spec = loops.at_work(conn, loop)
        if spec is None:
            return None
        runs.hold_answers_still(conn)
        # In this order: a change of champion between the two is found at the end, and never overlooked.
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
        raise  # nothing is wrong with the run: who looks after the jobs asks for it anew
    except Exception as exc:
        logger.exception("loop %s: run %s cannot be judged", loop, run.id)
        error = settings.hide(f"it cannot be judged: {type(exc).__name__}: {exc}")[:ERROR_CHARACTERS]
        status = retrying(lambda: _end(database, spec, run, RunStatus.FAILED, error=error))
    # A verdict and a wish to stop it at the same moment: the wish is older.
    status = retrying(lambda: _leave(database, spec, run)) or status
    logger.info("loop %s: run %s %s", loop, run.id, status)
    return status


def heal(database: Database) -> None:
    """Fail the runs whose worker has died, ask anew for what they were to do, and see that queued runs have a job.

    A loop that cannot be read keeps none of the others waiting.
    """
    with database.transaction() as conn:
        for run in runs.fail_stale(conn):
            again = run.stop_asked_by is None and try_again(
                [row.status for row in runs.latest(conn, run.loop) if row.status != RunStatus.QUEUED]
            )
            logger.warning("loop %s: run %s lost its worker%s", run.loop, run.id, ", again" if again else "")
            if again and run.judges is not None:
                runs.request_again(conn, run.loop, run.judges, run.why, seed=run.seed)
            elif again:
                runs.request(conn, run.loop, run.why, seed=run.seed)
        names = loops.names(conn)
        for loop in runs.queued_loops(conn):
            jobs.ask(conn, jobs.RETRAIN, loop)
    # Answers that were committed just when the last run ended were folded into it, and are in none.
    for loop in names:
        try:
            with database.transaction() as conn:
                if spec := loops.get(conn, loop):
                    jobs.ask_for_more(conn, spec)
        except Unreachable:
            raise
        except Exception as exc:
            logger.warning("loop %s: could not look for new answers: %s: %s", loop, type(exc).__name__, exc)


def _apply(
    database: Database, settings: Settings, spec: LoopSpec, run: RetrainRun, epoch: int, outcome: dict[str, Any]
) -> RunStatus:
    """The gate's verdict on what the child made, and what follows from it, in one transaction."""
    if "error" in outcome:
        return _end(database, spec, run, RunStatus.FAILED, error=outcome["error"])
    if "refused" in outcome:
        return _end(database, spec, run, RunStatus.REFUSED, reasons=[outcome["refused"]])
    version_id, notes = outcome["version"], outcome["notes"]
    decision, scores = judge(database, spec, run, outcome)
    reasons = [*decision.reasons, *notes]
    if version_id == run.champion_id:
        reasons = ["the challenger is the champion, byte for byte: refused", *notes]
    elif decision.promote:
        try:
            models.load(settings.models_dir, version_id)  # a fresh process, and the bytes that will serve
            return _pass(database, spec, run, epoch, reasons=reasons, version_id=version_id, scores=scores)
        except ChampionChanged:
            reasons = ["it passed the gate, but the champion changed meanwhile: it is judged again", *reasons]
            what = {"reasons": reasons, "version_id": version_id, "scores": scores}
            return _end(database, spec, run, RunStatus.REFUSED, again=True, **what)
        except Conflict as exc:
            reasons = [f"it passed the gate, but {exc}: refused", *reasons]
        except Unreachable:
            raise
        except LabelloopError as exc:
            return _end(database, spec, run, RunStatus.FAILED, error=str(exc))
    return _end(database, spec, run, RunStatus.REFUSED, reasons=reasons, version_id=version_id, scores=scores)


def _pass(
    database: Database, spec: LoopSpec, run: RetrainRun, epoch: int, *, reasons: list[str], **what: Any
) -> RunStatus:
    """What the loop wants done with a challenger that passed: it serves, a person is asked, or it goes into shadow."""
    status = {"auto": RunStatus.PROMOTED, "ask": RunStatus.ASKING, "shadow": RunStatus.SHADOW}[spec.gate.promotion]
    with database.transaction() as conn:
        verdicts.hold(conn, spec.name)
        older = verdicts.undecided(conn, spec.name)
        if version_store.epoch(conn, spec.name) != epoch:
            raise ChampionChanged(f"the champion of {spec.name} has changed meanwhile")
        # Only of a run that judges again: its answers are as old as those of the run whose version it judges.
        if newer := [one for one in older if one.cut > run.cut]:
            raise Conflict(f"run {newer[0].id} passed it with newer answers and waits")
        if status != RunStatus.PROMOTED:
            reasons = [f"{reasons[0]}, {WAITS[status]}", *reasons[1:]]
        if not runs.finish(conn, run.id, status, reasons=reasons, **what):
            return RunStatus.FAILED
        if status == RunStatus.PROMOTED:
            switch(conn, spec.name, what["version_id"], by="gate", why=reasons[0], epoch=epoch)
        elif status == RunStatus.SHADOW and (first := [one for one in older if one.status == RunStatus.SHADOW]):
            # Else runs that come oftener than a shadow lasts would let none of them end.
            raise Conflict(f"run {first[0].id} is in shadow and is judged first")
        else:
            version_store.reconsider(conn, what["version_id"])
            for waits in older:
                close(conn, waits, f"run {run.id} passed the gate with newer answers and takes its place: refused")
            jobs.ask(conn, jobs.PRELABEL, spec.name)  # whatever is decided, from now on it ranks
        if status == RunStatus.SHADOW:
            jobs.ask(conn, jobs.SHADOW, spec.name)
        jobs.ask_for_more(conn, spec)
    return status


def _end(
    database: Database, spec: LoopSpec, run: RetrainRun, status: RunStatus, *, again: bool = False, **what: Any
) -> RunStatus:
    """`again`: its version is to be judged once more, against the champion of now."""
    with database.transaction() as conn:
        if not runs.finish(conn, run.id, status, **what):
            return RunStatus.FAILED  # somebody else has ended it
        if version_id := what.get("version_id"):
            version_store.refuse(conn, version_id)
            jobs.ask(conn, jobs.PRELABEL, spec.name)  # refused as champion, but from now on it ranks
            if again:
                champion = version_store.champion(conn, spec.name)
                ask_again(conn, run, version_id, None if champion is None else champion.id)
        jobs.ask_for_more(conn, spec)
    return status


def _leave(database: Database, spec: LoopSpec, run: RetrainRun) -> RunStatus | None:
    """End a run that is to be stopped; one that only lost its worker is given back. Does nothing to any other."""
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
        return True  # nobody can have taken the run from us while nobody reaches it
