"""Actions: promote, refuse, stop, roll back and retrain, each after a confirmation page and with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from backend.decide import promote as hop
from backend.report import shown
from backend.report.runs import run_report
from backend.report.versions import version_report
from backend.report.words import with_names
from labelloop.errors import Conflict, UsageError
from labelloop.reading.strict_json import UNKEPT
from labelloop.store.database import Conn, Database
from labelloop.store.questions import people
from labelloop.store.questions import runs as run_questions
from labelloop.store.tables import jobs, loops, runs, verdicts
from labelloop.store.tables import versions as version_store
from labelloop.versions.version import PIPELINE, previous, short

LONGEST_WHY = 1000
CONSEQUENCES = (
    "Waiting outputs get its labels and a new order as soon as the backend's worker is free.",
    "Open tasks in Label Studio get new predictions after that.",
    "Answers that people have given stay as they are.",
)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A confirmation page: what an action would change, before anything is done."""

    loop: str
    what: str
    subject: str
    """The id of a run or version, or the name of a loop."""
    title: str
    button: str
    changes: Sequence[str]
    undo: str
    back: str
    """Path of the page to go back to, below /review."""
    epoch: int
    """Epoch of the loop when the page was made. If it has changed when the person confirms, nothing is done."""
    targets: Sequence[tuple[str, str]] = ()
    """Versions that a roll-back can return to: value and text of each choice."""
    suggested: str = ""
    """The reason that the form is filled with."""
    warning: str = ""
    """The strongest argument against the action, shown first."""
    against: Sequence[str] = ()
    """The sentences of the verdict, shown after the warning."""
    offers: Sequence[tuple[str, str]] = ()
    """Versions that a box of the form also rolls back to, if it is ticked: value and text of each."""
    seen: Sequence[tuple[str, str]] = ()
    """Hidden fields of the form, which hold what the person sees: name and value of each."""


@dataclass(frozen=True, slots=True)
class Action:
    """The answer of a person to a confirmation page."""

    by: str
    why: str
    epoch: int | None = None
    """The epoch that the person saw; None if the action holds for any champion."""
    to: str | None = None
    """Version that a roll-back returns to; None for the champion before."""


def confirmation(conn: Conn, what: str, subject: str) -> Confirmation:
    """Return the confirmation page of an action: promote, refuse, stop, rollback or retrain.

    `subject` is the id of a version or run, or the name of a loop. Raises UsageError if it does not exist, and Conflict
    if the action is not possible in its present state.
    """
    match what:
        case "promote":
            return _promote(conn, subject)
        case "refuse" | "stop":
            return _end(conn, what, subject)
        case "rollback":
            return _rollback(conn, subject)
        case "retrain":
            return _retrain(conn, subject)
    raise UsageError(f"no action {what!r}; there are: promote, refuse, stop, rollback, retrain")


def carry_out(database: Database, models_dir: Path | None, asked: Confirmation, action: Action) -> str:
    """Carry out the action, and return a sentence about what was done.

    Raises UsageError without a reason, and Conflict if somebody else has changed the champion, or the run, meanwhile.
    """
    why = checked_reason(asked, action)
    by, seen = action.by, action.epoch
    match asked.what:
        case "promote":
            done = hop.promote(database, asked.loop, asked.subject, by, why, models_dir=models_dir, epoch=seen)
            said = f"{done.version} is champion of {done.loop} now; before it was {done.previous}. {done.what_next}"
            return said.rstrip()
        case "rollback":
            done = hop.rollback(database, asked.loop, by, why, action.to or None, models_dir=models_dir, epoch=seen)
            return f"{done.loop} went back from {done.previous} to {done.version}. {done.what_next}".rstrip()
        case "refuse":
            hop.refuse(database, asked.loop, asked.subject, by, why)
            return f"Run {asked.subject[:8]} is refused; the champion stays."
    with database.transaction() as conn:
        if asked.what == "stop":
            if not runs.ask_to_stop(conn, UUID(asked.subject), by, why):
                raise Conflict(f"run {asked.subject[:8]} has ended, or is being stopped already")
            return f"Run {asked.subject[:8]} is asked to stop; the champion stays."
        if (spec := loops.get(conn, asked.loop)) is not None:
            spec.require_learner()
        made = runs.request(conn, asked.loop, f"{by}: {why}")
        jobs.ask(conn, jobs.RETRAIN, asked.loop)
    return "A run was open already: it covers this." if made is None else f"Run {str(made)[:8]} is requested."


def checked_reason(asked: Confirmation, action: Action) -> str:
    """Return the reason.

    Raises UsageError without one, and Conflict if the champion has changed since the person looked.
    """
    why = action.why.strip()
    if not why or len(why) > LONGEST_WHY:
        raise UsageError(f"a decision needs a reason of 1 to {LONGEST_WHY} characters; it has {len(why)}")
    if UNKEPT.search(why):
        raise UsageError("the reason holds characters that Postgres cannot store")
    if action.epoch is not None and action.epoch != asked.epoch:
        raise Conflict(f"the champion of {asked.loop} has changed meanwhile: nothing was done; open the page again")
    return why


def _promote(conn: Conn, version_id: str) -> Confirmation:
    report = version_report(conn, version_id)
    loop, name = report["loop"], report["name"]
    champion = _champion_id(conn, loop)
    if champion == report["version"]:
        raise Conflict(f"{name} is champion of {loop} already")
    warning, against, button = _against(conn, report["version"], champion)
    return Confirmation(
        loop=loop,
        what="promote",
        subject=report["version"],
        title=f"Promote version {name} although {button}?" if button else f"Promote version {name}?",
        button=f"Promote although {button}" if button else f"Promote {name}",
        warning=warning,
        against=against,
        changes=(f"{name} becomes the champion of {loop}, in place of {short(champion)}.", *CONSEQUENCES),
        undo=f"Roll back on the page of the loop {loop}: {short(champion)} becomes the champion again.",
        back=f"versions/{report['version']}",
        epoch=report["epoch"],
    )


def _against(conn: Conn, version_id: str, champion_id: str | None) -> tuple[str, Sequence[str], str]:
    """Return the arguments against promoting a refused version: warning, sentences of the verdict, clause of a button.

    The clause follows the word "although". All three are empty if the version was not refused.
    """
    run = verdicts.newest_run(conn, version_id)
    if run is None or (by := shown.refusal(run, run_questions.decisions(conn, run.id))) is None:
        return "", (), ""
    figures, names = shown.figures(run), people.names(conn, run.loop)
    against = [with_names(reason, names) for reason in run.reasons]
    if not by:
        return f"It passed the gate, but was refused later: {figures}.", against, "it was refused"
    warning = f"{by[0].upper()}{by[1:]} refused it: {figures}." if by == "the gate" else f"{by} refused it: {figures}."
    if run.champion_id != champion_id:
        warning += f" It was judged against {short(run.champion_id)}, which is not the champion any more."
    return warning, against, f"{by} refused it"


def _end(conn: Conn, what: str, run_id: str) -> Confirmation:
    report = run_report(conn, run_id)
    name, status = report["name"], report["status"]
    if status not in (("asking", "shadow") if what == "refuse" else ("queued", "running")):
        raise Conflict(f"run {name} is {status}: it cannot be {'refused' if what == 'refuse' else 'stopped'}")
    asked = Confirmation(
        loop=report["loop"],
        what=what,
        subject=report["id"],
        title=f"Stop run {name}?",
        button=f"Stop run {name}",
        changes=(
            "Its training process is ended, and it makes no version.",
            f"{report['serves']['name']} stays the champion.",
        ),
        undo="A stopped run cannot be resumed. A new run can be started at any time; it trains on the same answers.",
        back=f"runs/{report['id']}",
        epoch=report["epoch"],
    )
    if what == "stop":
        return asked
    made = report["challenger"]["name"]
    return replace(
        asked,
        title=f"Refuse run {name}?",
        button=f"Refuse run {name}",
        changes=(
            f"Version {made} is refused; {report['serves']['name']} stays the champion.",
            "The run is closed with your reason.",
        ),
        undo=f"Version {made} is kept: it can be promoted later from its own page.",
    )


def _rollback(conn: Conn, loop: str) -> Confirmation:
    check_loop(conn, loop)
    history = [row.version_id for row in version_store.promotions(conn, loop)]
    champion = _champion_id(conn, loop)
    try:
        before = previous(list(reversed(history)))
    except UsageError as exc:
        raise Conflict(str(exc)) from exc
    others = [v for v in dict.fromkeys([before, *history, None]) if v != champion]
    return Confirmation(
        loop=loop,
        what="rollback",
        subject=loop,
        title=f"Roll back {loop}?",
        button="Roll back",
        changes=(
            f"The version that you choose below becomes the champion, in place of {short(champion)}.",
            f"A run that makes {short(champion)} again asks a person, and promotes nothing by itself.",
            "The same holds for every champion between the chosen one and today's.",
            *CONSEQUENCES,
        ),
        undo=f"Promote {short(champion)} again on its own page.",
        back=f"loops/{loop}",
        epoch=version_store.epoch(conn, loop),
        targets=[(v or PIPELINE, "the pipeline's own outputs" if v is None else short(v)) for v in others],
    )


def _retrain(conn: Conn, loop: str) -> Confirmation:
    check_loop(conn, loop)
    return Confirmation(
        loop=loop,
        what="retrain",
        subject=loop,
        title=f"Train a challenger for {loop} now?",
        button="Train now",
        changes=("A run starts as soon as the backend's worker is free. The gate judges it like any other run.",),
        undo="Stop the run on its page.",
        back=f"loops/{loop}",
        epoch=version_store.epoch(conn, loop),
        suggested="requested on the page",
    )


def check_loop(conn: Conn, loop: str) -> None:
    """Raise Conflict if the loop is archived, and UsageError if there is no such loop."""
    names = loops.names(conn)
    if loop not in names and loop in loops.names(conn, archived=True):
        raise Conflict(f"loop {loop!r} was {loops.resting(conn)[loop]}: `labelloop loop restore {loop}` restores it")
    if loop not in names:
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")


def _champion_id(conn: Conn, loop: str) -> str | None:
    champion = version_store.champion(conn, loop)
    return None if champion is None else str(champion.id)
