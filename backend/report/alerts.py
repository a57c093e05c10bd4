"""The report of a loop's alerts: what people did in Label Studio to the work of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from uuid import UUID

from backend.report.parts import Report, as_json
from backend.report.shown import task_url
from labelloop.answers.alerts import Alert, AlertState
from labelloop.errors import UnknownValue, UsageError
from labelloop.reading.ids import ProjectId
from labelloop.store.alerts import rows
from labelloop.store.database import Conn
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
