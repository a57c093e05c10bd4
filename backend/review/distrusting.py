"""Decisions about people: distrust one, or trust one again, after a confirmation page and with a reason.

The decision is stored here. The sync worker computes the answers again. The form of the confirmation page holds the
times, or the decisions in force, that the page shows. The POST stores exactly that, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from backend.decide.promote import rollback
from backend.report.estimates.distrusting import plan_words
from backend.report.estimates.working import distrust_words
from backend.report.parts import as_json
from backend.review.actions import Action, Confirmation, check_loop, checked_reason
from labelloop.errors import Conflict, LabelloopError, UnknownValue
from labelloop.reading.moments import moment
from labelloop.store.database import Conn, Database
from labelloop.store.people import decisions, who
from labelloop.store.people.decisions import Decision
from labelloop.store.people.plan import decided, plan
from labelloop.store.people.who import Somebody
from labelloop.store.tables import jobs, loops, projects, runs, versions
from labelloop.versions.version import PIPELINE, short

DISTRUST = "distrust"
SOON = "The sync worker computes the rest within seconds."
LATER = "The sync worker computes the answers again, within seconds. No stored answer is changed or deleted."


def confirmation(conn: Conn, what: str, loop: str, given: Mapping[str, str], now: datetime) -> Confirmation:
    """Return the confirmation page: `what` is distrust or trust, and `given` has `person`, `since` and `until`.

    Raises UsageError if there is no such loop or person, and UnknownValue for a time that cannot be. Raises Conflict if
    the loop is archived, or if the answers count, or do not count, already.
    """
    check_loop(conn, loop)
    somebody = who.named(conn, loop, given.get("person", ""))
    epoch, back = versions.epoch(conn, loop), f"loops/{loop}/working"
    if what == DISTRUST:
        return _distrust(conn, loop, somebody, *_checked_times(conn, loop, somebody, given, now), epoch, back)
    ended = _in_force(conn, loop, somebody)
    return Confirmation(
        loop=loop,
        what=what,
        subject=somebody.name,
        title=f"Let the answers of {somebody.name} count again?",
        button=f"Trust {somebody.name} again",
        changes=(
            *(f"This ends: {distrust_words(as_json({'row': row})['row'])}." for row in ended),
            "These answers count again, with those that Label Studio took meanwhile.",
            "An answer that somebody else gave meanwhile counts too, so the two may differ.",
            *_trains(conn, loop),
            LATER,
        ),
        undo=f"Distrust {somebody.name} again, on the page of the people at work.",
        back=back,
        epoch=epoch,
        seen=(("person", str(somebody.ids[0])), ("decisions", _numbers(ended))),
    )


def carry_out(
    database: Database,
    models_dir: Path | None,
    asked: Confirmation,
    given: Mapping[str, str],
    action: Action,
    now: datetime,
) -> str:
    """Store the decision, and return a sentence about it. `action.to` is the champion to return to, or None.

    The roll-back comes second: if it fails, the sentence says so, and the decision stands. Raises UsageError without a
    reason, and Conflict if somebody else has decided, or changed the champion, meanwhile: then nothing was done.
    """
    why = checked_reason(asked, action)
    if action.to is not None and action.to not in [version for version, _ in asked.offers]:
        raise Conflict(f"{short(action.to)} is not offered any more: nothing was done; open the page again")
    with database.transaction() as conn:
        projects.lock_hop(conn, asked.loop, "decisions")
        somebody = who.named(conn, asked.loop, given.get("person", ""))
        if asked.what == DISTRUST:
            since, until = _checked_times(conn, asked.loop, somebody, given, now)
            decisions.distrust(conn, asked.loop, somebody.ids[0], since, until, action.by, why)
        else:
            ended = _in_force(conn, asked.loop, somebody)
            if _numbers(ended) != given.get("decisions"):
                raise Conflict(f"decisions about {somebody.name} have changed: nothing was done; open the page again")
            for row in ended:
                decisions.end(conn, row.id, action.by, why)
        jobs.ask(conn, jobs.DECISIONS, asked.loop)
    if asked.what != DISTRUST:
        return f"The answers of {asked.subject} count again. {SOON}"
    said = f"The answers of {asked.subject} do not count any more."
    if action.to is None:
        return f"{said} {SOON}"
    try:
        done = rollback(database, asked.loop, action.by, why, action.to, models_dir=models_dir, epoch=action.epoch)
    except LabelloopError as exc:
        return f"{said} {SOON} The roll-back failed: {exc}"
    return f"{said} {SOON} {done.version} serves again instead of {done.previous}. {done.what_next}".rstrip()


def _in_force(conn: Conn, loop: str, somebody: Somebody) -> list[Decision]:
    """Return the decisions in force about this person. Raises Conflict if there is none."""
    found = [row for row in decisions.list_(conn, loop, somebody.ids) if row.ended_at is None]
    if not found:
        raise Conflict(f"all answers of {somebody.name} count already")
    return found


def _numbers(rows: Sequence[Decision]) -> str:
    return " ".join(str(row.id) for row in rows)


def _checked_times(
    conn: Conn, loop: str, somebody: Somebody, given: Mapping[str, str], now: datetime
) -> tuple[datetime, datetime | None]:
    """Return since and until. Raises UnknownValue for a time that cannot be, and Conflict if it is so already."""
    since = moment("since", given.get("since", ""), now)
    until = moment("until", given["until"], now) if given.get("until") else None
    if since > now:
        raise UnknownValue(f"since is in the future: {since:%Y-%m-%d %H:%M} UTC; it is {now:%Y-%m-%d %H:%M} UTC now")
    if until is not None and until <= since:
        begin, end = f"{since:%Y-%m-%d %H:%M} UTC", f"{until:%Y-%m-%d %H:%M} UTC"
        raise UnknownValue(f"until must be later than since; until is {end}, and since is {begin}")
    if (decision := decided(conn, loop, somebody, since, until)) is not None:
        raise Conflict(f"decision {decision} says already that these answers of {somebody.name} do not count")
    return since, until


def _distrust(
    conn: Conn, loop: str, somebody: Somebody, since: datetime, until: datetime | None, epoch: int, back: str
) -> Confirmation:
    found, learned, offers = plan(conn, loop, somebody, since, until), "", []
    if found.champion is not None and found.back_to is not None:
        to = "the pipeline's own outputs" if found.back_to == PIPELINE else f"version {short(found.back_to)}"
        learned = f"The champion {short(found.champion)} learned from these answers, and goes on serving."
        offers = [(found.back_to, f"Also roll back to {to}, which did not learn from them")]
    later = () if until is not None else (f"Answers that {found.person} gives later would not count either.",)
    return Confirmation(
        loop=loop,
        what=DISTRUST,
        subject=found.person,
        title=f"Let answers of {found.person} count no more?",
        button=f"Distrust {found.person}",
        changes=(*plan_words(found), *later, *(_trains(conn, loop) if found.covered.answers else ()), LATER),
        undo=f"Trust {found.person} again, on the page of the people at work: all of it comes back.",
        back=back,
        epoch=epoch,
        warning=learned,
        offers=offers,
        seen=(
            ("person", str(somebody.ids[0])),
            ("since", since.isoformat()),
            ("until", "" if until is None else until.isoformat()),
        ),
    )


def _trains(conn: Conn, loop: str) -> tuple[str, ...]:
    """Return the sentence about training: a run is requested if the loop has trained before."""
    spec = loops.get(conn, loop)
    trains = spec is not None and runs.has_trained(conn, spec)
    return ("A training run is requested. The gate judges its version like any other.",) if trains else ()
