"""Promote: make a version the champion, refuse one, or go back to an earlier one. Each is one recorded transaction.

A change of champion is compare-and-set by epoch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from psycopg.errors import UniqueViolation

from backend import models
from backend.decide.again import ask_again
from labelloop.errors import ChampionChanged, Conflict, UsageError
from labelloop.store.database import Conn, Database
from labelloop.store.promises import taught
from labelloop.store.tables import jobs, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.runs import RetrainRun, RunStatus
from labelloop.versions.version import PIPELINE, Stage, VersionId, find, left_by_going_back, previous, short

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A recorded change of champion. `pipeline` stands for the pipeline's own outputs."""

    loop: str
    epoch: int
    version: str
    previous: str
    by: str
    why: str
    refused: Sequence[str] = ()
    """The champions that a return left, oldest first: a run that makes one of them again asks a person."""

    @property
    def what_next(self) -> str:
        """Say what a run may do with the versions that the return left; "" if it left none."""
        if not self.refused:
            return ""
        them = self.refused[0] if len(self.refused) == 1 else f"one of {', '.join(self.refused)}"
        return f"A run that makes {them} again asks a person, and promotes nothing by itself."


def promote(
    database: Database,
    loop: str,
    version_id: str,
    by: str,
    why: str,
    *,
    models_dir: Path | None,
    epoch: int | None = None,
) -> Promotion:
    """Make a version champion, whatever the gate's verdict; `version_id` may be the first characters of an id.

    A run that waits for this decision, or has the version in shadow, ends as promoted. The promotion of an earlier
    champion is a return, as in rollback. `epoch`: the epoch that the caller has seen, if any. Raises UsageError for an
    unknown or ambiguous version, and Failed if its file is missing or damaged. Raises Conflict if it is champion
    already, or the champion has changed since `epoch`.
    """
    with database.transaction() as conn:
        version = find(version_id, [row.id for row in version_store.list_(conn, loop)])
        epoch = version_store.epoch(conn, loop) if epoch is None else epoch
    models.load(models_dir, version)
    with database.transaction() as conn:
        promotion = _switch_by_person(conn, loop, version, by=by, why=why, epoch=epoch)
        _record(conn, version, "promote", by, why)
        return promotion


def refuse(database: Database, loop: str, run_id: UUID | str, by: str, why: str) -> UUID:
    """Refuse the version of a run that asks a person or is in shadow; return the run's id.

    `run_id` may be the first characters of an id. Raises UsageError if no such run waits, Conflict if somebody else has
    just decided.
    """
    _say_why(by, why)
    with database.transaction() as conn:
        verdicts.hold(conn, loop)
        waiting = verdicts.undecided(conn, loop)
        found = [run for run in waiting if str(run.id).startswith(str(run_id).lower())]
        if len(found) != 1 or not str(run_id):
            there = ", ".join(f"{run.id} ({run.status})" for run in waiting) or "none"
            raise UsageError(f"{str(run_id)!r} names no run of {loop} that waits for a decision; there are: {there}")
        (run,) = found
        if not verdicts.decide(conn, run.id, RunStatus.REFUSED, f"refused by {by}: {why}"):
            raise Conflict(f"somebody else has just decided about run {run.id}: check it again")
        version_store.refuse(conn, run.made)
        verdicts.record(conn, run.id, "refuse", by, why)
    logger.info("loop %s: run %s refused by %s", loop, run.id, by)
    return run.id


def rollback(
    database: Database,
    loop: str,
    by: str,
    why: str,
    to: str | None = None,
    *,
    models_dir: Path | None,
    epoch: int | None = None,
) -> Promotion:
    """Go back to the previous champion, or to the earlier one named by `to` (`pipeline`: the pipeline's own outputs).

    The champions that this leaves count as refused by the person, until a person promotes them or returns to them.
    `epoch` as in promote.
    """
    with database.transaction() as conn:
        epoch = version_store.epoch(conn, loop) if epoch is None else epoch
        history = _history(conn, loop)
        known = [row.id for row in version_store.list_(conn, loop)]
    if to is None:
        target = previous(history)
    elif to == PIPELINE:
        target = None
    else:
        target = _earlier(to, history, known)
    if target is not None:
        models.load(models_dir, target)
    with database.transaction() as conn:
        promotion = _switch_by_person(conn, loop, target, by=by, why=why, epoch=epoch)
        if target is not None and verdicts.refused_by(conn, loop, target):
            _record(conn, target, "promote", by, why)
        return promotion


def _switch_by_person(conn: Conn, loop: str, version_id: str | None, *, by: str, why: str, epoch: int) -> Promotion:
    """Switch, and record that the person refuses the champions that a return to an earlier one leaves."""
    verdicts.hold(conn, loop)
    left = left_by_going_back(_history(conn, loop), version_id)
    promotion = switch(conn, loop, version_id, by=by, why=why, epoch=epoch)
    for version in left:
        _record(conn, version, "refuse", by, f"back to {short(version_id)}: {why}")
    return replace(promotion, refused=[short(version) for version in left])


def _record(conn: Conn, version_id: str, decision: str, by: str, why: str) -> None:
    """Record a person's decision about a version, on the run that made it last."""
    if run := verdicts.newest_run(conn, version_id):
        verdicts.record(conn, run.id, decision, by, why)


def _history(conn: Conn, loop: str) -> list[VersionId | None]:
    """Return every champion, oldest first."""
    return [row.version_id for row in reversed(version_store.promotions(conn, loop))]


def switch(conn: Conn, loop: str, version_id: str | None, *, by: str, why: str, epoch: int) -> Promotion:
    """Make the version champion in the caller's transaction, if the champion has not changed since `epoch`.

    This ends the runs that wait for a decision. A run with this version ends as promoted. The others end as refused,
    since they were judged against a champion that no longer serves; they are judged again, against this version.
    """
    verdicts.hold(conn, loop)
    champion = version_store.champion(conn, loop)
    champion_id = None if champion is None else champion.id
    if version_store.epoch(conn, loop) != epoch:
        raise ChampionChanged(f"the champion of {loop} has changed meanwhile; it is {short(champion_id)}: look again")
    if champion_id == version_id:
        raise Conflict(f"{short(version_id)} is champion of {loop} already")
    _say_why(by, why)
    try:
        version_store.record_promotion(
            conn, loop, epoch=epoch + 1, version_id=version_id, previous_id=champion_id, by=by, why=why
        )
    except UniqueViolation as exc:
        raise Conflict(f"somebody else has just changed the champion of {loop}: look again") from exc
    if champion_id is not None:
        version_store.set_stage(conn, champion_id, Stage.RETIRED)
    if version_id is not None:
        version_store.set_stage(conn, version_id, Stage.CHAMPION)
    for run in verdicts.undecided(conn, loop):
        if run.version_id == version_id:
            verdicts.decide(conn, run.id, RunStatus.PROMOTED, f"promoted by {by}: {why}")
        else:
            close(conn, run, f"it was judged against {short(champion_id)}, which no longer serves: it is judged again")
            ask_again(conn, run, run.made, version_id)
    jobs.ask(conn, jobs.PRELABEL, loop)
    logger.info("loop %s: champion %s, before that %s, by %s", loop, short(version_id), short(champion_id), by)
    return Promotion(loop, epoch + 1, short(version_id), short(champion_id), by, why)


def close(conn: Conn, run: RetrainRun, reason: str) -> None:
    """Refuse a run that waits for a decision, since its verdict is outdated."""
    if verdicts.decide(conn, run.id, RunStatus.REFUSED, reason):
        version_store.refuse(conn, run.made)


def withdrawn(conn: Conn, version_id: str, run_id: UUID | None = None) -> str | None:
    """Return why a person has to decide about a version: a promise behind its training set does not hold any more.

    None if all hold. `run_id`: as in taught.no_longer_standing.
    """
    n = taught.no_longer_standing(conn, version_id, run_id)
    outputs = "an output" if n == 1 else f"{n:,} outputs"
    why = f"it was trained on {outputs} that passed unseen by a certificate that was revoked or withdrawn since"
    return why if n else None


def _earlier(to: str, history: Sequence[str | None], known: Sequence[str]) -> VersionId:
    """Return the former champion whose id begins with `to`. Raises UsageError for a version that never served."""
    served = [v for v in dict.fromkeys(reversed(history)) if v is not None]
    if any(v.startswith(to.lower()) for v in served):
        return find(to, served)
    version = find(to, known)
    there = ", ".join(map(short, served)) or "none yet"
    raise UsageError(f"{short(version)} never served: promote it. Those that did are {there}")


def _say_why(by: str, why: str) -> None:
    if not by.strip() or not why.strip():
        raise UsageError("a decision needs a name and a reason")
