"""Decisions about alerts, for the page and for programs. The sync worker computes the answers again."""

from __future__ import annotations

from collections.abc import Collection

from labelloop.answers.alerts import AlertState
from labelloop.errors import UsageError
from labelloop.store.alerts import deciding
from labelloop.store.database import Database

DECISIONS = {"accept": AlertState.ACCEPTED, "reject": AlertState.REJECTED, "reopen": AlertState.OPEN}
MOST = 10_000
"""Alerts that one decision can name."""


def decide_alerts(
    database: Database, loop: str, decision: object, ids: Collection[object], person: object, by: str, why: object
) -> str:
    """Decide about alerts of this loop, and return a sentence about what was done.

    Raises UsageError for input that is not valid, and Conflict if one of them is decided already.
    """
    state = DECISIONS.get(str(decision))
    if state is None:
        raise UsageError(f"no decision {str(decision)[:40]!r}; there are: {', '.join(DECISIONS)}")
    numbers = [_number(id_) for id_ in ids]
    if len(numbers) > MOST:
        raise UsageError(f"{len(numbers)} alerts are more than the {MOST} of one decision")
    whose = str(person) if person and not numbers else None
    with database.transaction() as conn:
        if state == AlertState.OPEN:
            was = (AlertState.ACCEPTED, AlertState.REJECTED)
            done = deciding.reopen(conn, deciding.chosen(conn, numbers, was=was, loop=loop, person=whose))
        else:
            reason = deciding.reason_of(str(why or ""))
            chosen = deciding.chosen(conn, numbers, was=(AlertState.OPEN,), loop=loop, person=whose)
            done = deciding.decide(conn, chosen, state, by, reason)
    what = "alert is" if len(done) == 1 else "alerts are"
    return f"{len(done)} {what} {state} now."


def _number(value: object) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdigit() or len(text) > 18:
        raise UsageError(f"{text[:40]!r} is not the number of an alert")
    return int(text)
