"""Two looks at each loop. What both see, `settle_s` seconds apart, is violated; what only the last one sees is suspect.

Work in progress breaks some invariants for a moment: an answer is in Label Studio before it is stored. So these count
only if they stay broken. A look changes nothing, and is safe while everything is at work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import psycopg

from console.doctor.deep import (
    alerts,
    answers,
    models,
    outputs,
    people,
    record,
    resting,
    rows,
    secrets,
    stored,
    tasks,
)
from console.doctor.deep.invariants import BY_ID, INVARIANTS, OF_LABEL_STUDIO, Invariant
from console.doctor.deep.places import CouldNotLookError, Loop, Places
from console.doctor.deep.postgres import Conn, loops, snapshot
from console.doctor.deep.seen import Problem, Seen
from console.doctor.deep.web import Studio

NOT_AT_REST = frozenset({*OF_LABEL_STUDIO, "I8", "I10", "I26"})
"""Invariants that are not looked at in an archived loop: people may go on in Label Studio, and no worker follows."""


class Status(StrEnum):
    OK = "ok"
    VIOLATED = "violated"
    SUSPECT = "suspect"
    """Broken now, but not for long enough: work in progress may be the reason."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    invariant: Invariant
    status: Status
    loop: str | None
    """None if it is about all loops."""
    problems: Sequence[Problem] = ()
    unknown: str = ""
    """Why it could not be checked."""

    @property
    def look(self) -> str:
        """One line that shows the first problem."""
        key = self.problems[0].key if self.problems else "?"
        return self.invariant.look.replace("{key}", key.replace("'", "''")).replace("{loop}", self.loop or "?")

    @property
    def repair(self) -> str:
        return self.invariant.repair.replace("{loop}", self.loop or "?")


def look_twice(places: Places, loop: str | None, settle_s: float) -> list[Verdict]:
    """Return a verdict on each invariant of each loop, or of one. Raises CouldNotLookError without Postgres."""
    first = _look(places, loop, None)
    again = [seen for seen in first if seen.problems]
    if any(BY_ID[invariant].in_flight for seen in again for invariant in seen.problems):
        time.sleep(settle_s)
    second = {seen.loop: seen for seen in _look(places, loop, {one.loop: set(one.problems) for one in again})}
    return [verdict for seen in first for verdict in _verdicts(seen, second.get(seen.loop), settle_s)]


def _verdicts(first: Seen, second: Seen | None, settle_s: float) -> list[Verdict]:
    """`second`: None if the first look found nothing, or if the loop was removed since."""
    loop = first.loop or None
    looked_at = [one for one in INVARIANTS if one.id in first.looked_at]
    return [_verdict(one, first, second or Seen(first.loop), settle_s, loop) for one in looked_at]


def _verdict(one: Invariant, first: Seen, second: Seen, settle_s: float, loop: str | None) -> Verdict:
    if why := first.unknown.get(one.id) or second.unknown.get(one.id):
        return Verdict(one, Status.UNKNOWN, loop, unknown=why)
    now = second.problems.get(one.id, set())
    both = first.problems.get(one.id, set()) & now
    if both and (settle_s > 0 or not one.in_flight):
        return Verdict(one, Status.VIOLATED, loop, sorted(both))
    if now:
        return Verdict(one, Status.SUSPECT, loop, sorted(now))
    return Verdict(one, Status.OK, loop)


def _look(places: Places, name: str | None, only: Mapping[str, set[str]] | None) -> list[Seen]:
    """Look once at the loops, or at `only` these invariants by loop; "" is what is about all loops."""
    try:
        if only is None:
            with snapshot(places.database_url) as conn:
                only = {one: set(BY_ID) for one in [*(loop.name for loop in loops(conn, name)), ""]}
        seen = [_at_loop(places, one, ids) for one, ids in only.items() if one]
        return [*seen, _at_all(places, name, only[""], seen)] if "" in only else seen
    except psycopg.Error as exc:
        raise CouldNotLookError(f"Postgres: {' '.join(str(exc).split())}") from exc


def _at_all(places: Places, name: str | None, only: set[str], before: Sequence[Seen]) -> Seen:
    """Look at what is about all loops. What the looks `before` have told is not told again."""
    seen = Seen("")
    for one in before:
        seen.add_rows(one)
    heads = 0
    try:
        heads = record.size(places.heads)  # before the snapshot: later heads are not in it
    except CouldNotLookError as exc:
        seen.cannot(["I15"], str(exc))
    with snapshot(places.database_url) as conn:
        checks: list[tuple[tuple[str, ...], Callable[[], None]]] = [
            (("I15",), lambda: record.chain(seen, conn, places.heads, heads)),
            (("I16",), lambda: rows.compare(seen, conn, name)),
            (("I20",), lambda: secrets.look(seen, conn, places)),
        ]
        _check(seen, only, checks)
    return seen


def _at_loop(places: Places, name: str, only: set[str]) -> Seen:
    """Look at one loop, in one snapshot. The order tells which invariant is named for one fault."""
    seen = Seen(name)
    with snapshot(places.database_url) as conn:
        found = loops(conn, name)
        if not found:
            return seen
        loop = found[0]
        only = only - ({"I27"} if loop.archived_at is None else NOT_AT_REST)
        checks: list[tuple[tuple[str, ...], Callable[[], None]]] = [
            (("I1",), lambda: outputs.states(seen, conn, loop)),
            (("I8",), lambda: outputs.stuck(seen, conn, loop, places.grace_s)),
            (("I18",), lambda: outputs.reasons(seen, conn, loop)),
            (("I19", "I25"), lambda: stored.versions(seen, conn, loop)),
            (OF_LABEL_STUDIO, lambda: _in_label_studio(seen, conn, places, loop)),
            (("I21",), lambda: alerts.foreign(seen, conn, loop)),
            (("I23",), lambda: answers.feedback(seen, conn, loop)),
            (("I24",), lambda: answers.answers(seen, conn, loop)),
            (("I26",), lambda: people.assignments(seen, conn, loop)),
            (("I27",), lambda: resting.rests(seen, conn, loop)),
            (("I9",), lambda: models.file(seen, conn, loop, places)),
            (("I10",), lambda: models.served(seen, conn, loop, places)),
            (("I11", "I12"), lambda: models.runs(seen, conn, loop)),
            (("I13", "I14"), lambda: models.promotions(seen, conn, loop)),
        ]
        _check(seen, only, checks)
    return seen


def _check(seen: Seen, only: set[str], checks: Sequence[tuple[tuple[str, ...], Callable[[], None]]]) -> None:
    for invariants, check in checks:
        if only.isdisjoint(invariants):
            continue
        seen.looked_at |= only.intersection(invariants)
        try:
            check()
        except CouldNotLookError as exc:
            for invariant in invariants:
                seen.problems.pop(invariant, None)
            seen.cannot(invariants, str(exc))


def _in_label_studio(seen: Seen, conn: Conn, places: Places, loop: Loop) -> None:
    if loop.project_id is None:
        return
    studio = Studio(places.label_studio_url, places.label_studio_token)
    try:
        project = studio.project(loop.project_id)
        if str(loop.instance) not in str(project.get("description")):
            raise CouldNotLookError(f"project {loop.project_id} of Label Studio does not have the loop's mark")
        tasks.compare(seen, conn, studio, loop)
    finally:
        studio.close()
