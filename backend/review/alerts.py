"""A loop's alerts: the report of its page, and decisions from the page and from programs.

The sync worker computes the answers again after a decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict
from uuid import UUID

from backend.report.parts import Report, as_json
from backend.report.shown import task_url
from labelloop.answers.alerts import Alert, AlertState
from labelloop.errors import UnknownValue, UsageError
from labelloop.reading.ids import ProjectId
from labelloop.store.alerts import deciding, rows
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, projects

SHOWN = 200
"""Alerts in one report."""
ALL = "all"


def alerts_report(conn: Conn, loop: str, state: str = AlertState.OPEN, *, label_studio_url: str = "") -> Report:
    """Return {"loop", "state", "open", "people", "alerts"}: the number of open alerts, that of each person, and the
    newest SHOWN alerts in this state.

    `state`: open, or all. Raises UsageError if there is no such loop.
    """
    if state not in (AlertState.OPEN, ALL):
        raise UnknownValue(f"no state {state!r}; there are: open, all")
    if loop not in (names := loops.names(conn, archived=True)):
        raise UsageError(f"no loop {loop!r}; there are: {', '.join(names) or 'none'}")
    still_open = rows.list_(conn, [loop])
    shown = still_open if state == AlertState.OPEN else rows.list_(conn, [loop], only_open=False)
    project = projects.get(conn, loop)
    base = label_studio_url or (project.label_studio_url if project else "")
    ids = {project.instance: project.project_id} if project else {}
    people = Counter(alert.person for alert in still_open if alert.person is not None)
    return as_json(
        {
            "loop": loop,
            "state": state,
            "open": len(still_open),
            "people": [{"person": person, "open": n} for person, n in people.most_common()],
            "found": len(shown),
            "alerts": [_line(alert, base, ids) for alert in shown[:SHOWN]],
        }
    )


def _line(alert: Alert, base: str, ids: Mapping[UUID, ProjectId | None]) -> Report:
    names = ("id", "kind", "key", "person", "before", "after", "found_at", "ended_at", "state", "decided_by", "why")
    fields = asdict(alert)
    return {name: fields[name] for name in (*names, "decided_at")} | {
        "task": task_url(base, ids.get(alert.instance), alert.task_id)
    }


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
