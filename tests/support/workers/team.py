"""Two people who work at a loop, and change each other's work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from labelloop.answers.alerts import Alert, AlertState
from labelloop.reading.ids import AnnotationId, TaskId
from labelloop.store.alerts import deciding
from labelloop.store.alerts import rows as alert_rows
from sync.pull.pull import Memory
from tests.support.hops.pulled import feedback
from tests.support.sync_loop import SyncLoop, region

ANNE, BEN = "anne@alerts.example.org", "ben@alerts.example.org"
Said = list[tuple[str | None, str]]


@dataclass
class Team:
    """A loop at which two people work, beside the administrator."""

    loop: SyncLoop
    anne: httpx.Client
    ben: httpx.Client
    memory: Memory

    def pull(self, **how: Any) -> None:
        self.memory.looked_at = -1e9
        self.loop.pull(memory=self.memory, **how)

    def tasks(self, n: int) -> list[TaskId]:
        self.loop.submit(n)
        self.loop.push()
        self.pull()
        return sorted(task["id"] for task in self.loop.tasks())[-n:]

    def answer(self, task: TaskId, label: str, who: httpx.Client | None = None) -> AnnotationId:
        return self.loop.annotate(task, label, web=who or self.anne)

    def edit(self, annotation: AnnotationId, label: str, who: httpx.Client | None = None, **more: Any) -> None:
        body = {"result": region(label), **more}
        (who or self.ben).patch(f"/api/annotations/{annotation}/", json=body).raise_for_status()

    def delete(self, path: str, who: httpx.Client | None = None) -> None:
        (who or self.ben).delete(path).raise_for_status()

    def alerts(self, state: AlertState | None = AlertState.OPEN) -> list[Alert]:
        with self.loop.database.transaction() as conn:
            found = alert_rows.list_(conn, [self.loop.spec.name], only_open=False)
        return [alert for alert in reversed(found) if state in (None, alert.state)]

    def decide(self, state: AlertState, *alerts: Alert) -> None:
        ids = [alert.id for alert in alerts or self.alerts()]
        with self.loop.database.transaction() as conn:
            if state == AlertState.OPEN:
                assert len(deciding.reopen(conn, ids)) == len(ids)
            else:
                assert len(deciding.decide(conn, ids, state, "boss", "looked at it")) == len(ids)
        self.pull()

    def said(self) -> Said:
        return sorted((row["label"], row["email"]) for row in feedback(self.loop))
