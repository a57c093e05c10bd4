"""Alerts about the form: Label Studio has a form that the loop never had.

Answers do not count until the alert is accepted if they are read while the form is there, or were read since the last
look that found the right one. Label Studio does not tell who changed it.
"""

from __future__ import annotations

import re
import time
from uuid import UUID

from labelloop.answers.alerts import AlertKind, AlertState, Found, cut, hash_of
from labelloop.labeling.form_xml import same_form, sent
from labelloop.labelstudio.answers import Project
from labelloop.spec.loop import LoopSpec
from labelloop.store.alerts import deciding, found, rows
from labelloop.store.database import Conn, Database
from labelloop.store.tables import loops, projects

UNKNOWN_S = 60.0
"""A worker that has not looked at the form yet takes the answers of this time as given with the changed form."""
TAKEN_OVER = ("labels.xml", "the loop has this form now")
"""The name and the reason under which such an alert is accepted."""
_PARTS = re.compile(r"<[^>]*>|[^<]+")


def look_at_form(
    database: Database, spec: LoopSpec, instance: UUID, standing: Project, right_at: float | None = None
) -> bool:
    """Return whether the form is one that the loop has or had; end the alerts about it if so, else open one.

    `right_at`: when this worker last found it right, by time.monotonic(); None if never. The next `settle_alerts` takes
    the answers back that do not count any more.
    """
    with database.transaction() as conn:
        projects.lock_hop(conn, spec.name, "answers")
        now = loops.get(conn, spec.name) or spec
        own = [now.labels_xml, *loops.forms(conn, spec.name)]
        alerts = rows.in_force(conn, instance, spec.name, AlertKind.FORM)
        fact = f"form {instance} {hash_of(standing.labels_xml.strip())}"
        if any(same_form(form, standing.labels_xml) for form in own):
            rows.end(conn, [alert.id for alert in alerts])
            # The loop has taken over the form that an alert was about.
            deciding.decide(conn, rows.open_ids(conn, spec.name, fact), AlertState.ACCEPTED, *TAKEN_OVER)
            return True
        rows.end(conn, [alert.id for alert in alerts if alert.fact != fact])
        if any(alert.fact == fact for alert in alerts):
            return False
        before, after = changes(sent(now.labels_xml), standing.labels_xml.strip())
        alert_id = rows.open_(conn, spec.name, Found(AlertKind.FORM, fact, instance, before=before, after=after))
        since_s = UNKNOWN_S if right_at is None else time.monotonic() - right_at
        versions = found.seen_since(conn, instance, since_s)
        deciding.cover(conn, spec.name, alert_id, AlertKind.FORM, versions, ask=False)
        rows.set_settled(conn, [alert_id], settled=not versions)
        return False


def watch_form(conn: Conn, spec: LoopSpec, instance: UUID, since: int) -> None:
    """Exclude the versions stored after `since` if Label Studio has a changed form that nobody accepted."""
    for alert in rows.in_force(conn, instance, spec.name, AlertKind.FORM):
        if alert.state != AlertState.ACCEPTED:
            versions = found.written(conn, instance, since)
            rejected = alert.state == AlertState.REJECTED
            deciding.cover(conn, spec.name, alert.id, AlertKind.FORM, versions, ask=rejected)


def changes(ours: str, theirs: str) -> tuple[str, str]:
    """Return the tags and texts that only one of two forms has, each in few words."""
    left, right = _parts(ours), _parts(theirs)
    only = [" ".join(part for part in mine if part not in others) for mine, others in ((left, right), (right, left))]
    none = "nothing of this kind" if any(only) else "the same tags and texts, in another order or number"
    return cut(only[0]) or none, cut(only[1]) or none


def _parts(form: str) -> list[str]:
    return [" ".join(part.split()) for part in _PARTS.findall(form) if part.strip()]
