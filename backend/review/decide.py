"""Decide: what a person may do about a run or a loop. First a second look at what it changes, then the deed, signed."""

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
FOLLOWS = (
    "What waits for people gets its labels and a new order, as soon as the backend's worker gets round to it.",
    "Tasks that stand open in Label Studio get new predictions after that.",
    "Answers that people have given stay as they are.",
)


@dataclass(frozen=True, slots=True)
class Look:
    """A second look: what is asked, in words, before it is done."""

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
    """As the reader saw it: if it has changed when they confirm, nothing is done."""
    targets: Sequence[tuple[str, str]] = ()
    """What can be gone back to: value and words."""
    suggested: str = ""
    """The reason, where one goes without saying."""
    warning: str = ""
    """What speaks against it; read first."""
    against: Sequence[str] = ()
    """The verdict in its own words, behind the warning."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What a person said about a Look."""

    by: str
    why: str
    epoch: int | None = None
    """None: whoever serves."""
    to: str | None = None
    """Of a roll-back; None: the champion before."""


def look(conn: Conn, what: str, subject: str) -> Look:
    """What `what` (promote, refuse, stop, rollback, retrain) would do with `subject`.

    Raises UsageError where there is no such thing, Conflict where it cannot be done as things stand.
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
    raise UsageError(f"nothing is called {what!r}; there are: promote, refuse, stop, rollback, retrain")


def do(database: Database, models_dir: Path | None, asked: Look, deed: Deed) -> str:
    """Do it, and say what was done. Raises UsageError without a reason, Conflict where somebody was quicker."""
    why = deed.why.strip()
    if not why or len(why) > LONGEST_WHY:
        raise UsageError(f"a decision needs a reason of 1 to {LONGEST_WHY} characters; it has {len(why)}")
    if UNKEPT.search(why):
        raise UsageError("the reason holds characters that are no text, which Postgres does not keep")
    if deed.epoch is not None and deed.epoch != asked.epoch:
        raise Conflict(f"the champion of {asked.loop} has changed since you looked: nothing was done, look again")
    by, seen = deed.by, deed.epoch
    match asked.what:
        case "promote":
            done = hop.promote(database, asked.loop, asked.subject, by, why, models_dir=models_dir, epoch=seen)
            return f"{done.version} is champion of {done.loop} now; before it was {done.previous}."
        case "rollback":
            done = hop.rollback(database, asked.loop, by, why, deed.to or None, models_dir=models_dir, epoch=seen)
            return f"{done.loop} went back from {done.previous} to {done.version}."
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
    return "A run was open already: it covers this." if made is None else f"Run {str(made)[:8]} is asked for."


def _promote(conn: Conn, version_id: str) -> Look:
    report = version_report(conn, version_id)
    loop, name = report["loop"], report["name"]
    champion = _serves(conn, loop)
    if champion == report["version"]:
        raise Conflict(f"{name} is champion of {loop} already")
    warning, against, button = _against(conn, report["version"], champion)
    return Look(
        loop=loop,
        what="promote",
        subject=report["version"],
        title=f"Promote version {name} although {button}?" if button else f"Promote version {name}?",
        button=f"Promote although {button}" if button else f"Promote {name}",
        warning=warning,
        against=against,
        changes=(f"{name} becomes the champion of {loop}, in place of {short(champion)}.", *FOLLOWS),
        undo=f"Roll back on the page of the loop {loop}: {short(champion)} serves again.",
        back=f"versions/{report['version']}",
        epoch=report["epoch"],
    )


def _against(conn: Conn, version_id: str, champion_id: str | None) -> tuple[str, Sequence[str], str]:
    """What speaks against promoting a version that was refused: a warning, the verdict's sentences, and the clause that
    follows `although`; all empty where nothing does.
    """
    run = verdicts.newest_run(conn, version_id)
    if run is None or (by := shown.refusal(run, run_questions.decisions(conn, run.id))) is None:
        return "", (), ""
    figures, names = shown.figures(run), people.names(conn, run.loop)
    against = [with_names(reason, names) for reason in run.reasons]
    if not by:
        return f"It passed the gate, and was refused all the same: {figures}.", against, "it was refused"
    warning = f"{by[0].upper()}{by[1:]} refused it: {figures}." if by == "the gate" else f"{by} refused it: {figures}."
    if run.champion_id != champion_id:
        warning += f" It was judged against {short(run.champion_id)}, which does not serve any more."
    return warning, against, f"{by} refused it"


def _end(conn: Conn, what: str, run_id: str) -> Look:
    report = run_report(conn, run_id)
    name, status = report["name"], report["status"]
    if status not in (("asking", "shadow") if what == "refuse" else ("queued", "running")):
        raise Conflict(f"run {name} is {status}: it cannot be {'refused' if what == 'refuse' else 'stopped'}")
    asked = Look(
        loop=report["loop"],
        what=what,
        subject=report["id"],
        title=f"Stop run {name}?",
        button=f"Stop run {name}",
        changes=("Its training process is ended, and it makes no version.", f"{report['serves']['name']} serves on."),
        undo="It cannot be taken up again; a new run can be asked for at any time, and learns from the same answers.",
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
            f"Version {made} is refused; {report['serves']['name']} serves on.",
            "The run is closed with your reason.",
        ),
        undo=f"Version {made} is kept: it can be promoted later from its own page.",
    )


def _rollback(conn: Conn, loop: str) -> Look:
    _known(conn, loop)
    history = [row.version_id for row in version_store.promotions(conn, loop)]
    champion = _serves(conn, loop)
    try:
        before = previous(list(reversed(history)))
    except UsageError as exc:
        raise Conflict(str(exc)) from exc
    others = [v for v in dict.fromkeys([before, *history, None]) if v != champion]
    return Look(
        loop=loop,
        what="rollback",
        subject=loop,
        title=f"Roll back {loop}?",
        button="Roll back",
        changes=(f"{short(champion)} stops serving; the one that you name below serves in its place.", *FOLLOWS),
        undo=f"Promote {short(champion)} again on its own page.",
        back=f"loops/{loop}",
        epoch=version_store.epoch(conn, loop),
        targets=[(v or PIPELINE, "the pipeline's own outputs" if v is None else short(v)) for v in others],
    )


def _retrain(conn: Conn, loop: str) -> Look:
    _known(conn, loop)
    return Look(
        loop=loop,
        what="retrain",
        subject=loop,
        title=f"Train a challenger for {loop} now?",
        button="Train now",
        changes=("A run starts as soon as the backend's worker is free, and is judged by the gate as any other.",),
        undo="A run can be stopped on its page.",
        back=f"loops/{loop}",
        epoch=version_store.epoch(conn, loop),
        suggested="asked for on the page",
    )


def _known(conn: Conn, loop: str) -> None:
    if loop not in (names := loops.names(conn)):
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")


def _serves(conn: Conn, loop: str) -> str | None:
    champion = version_store.champion(conn, loop)
    return None if champion is None else str(champion.id)
