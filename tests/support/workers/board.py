"""Tasks of a loop as a Label Studio would show them, without one, and two people who answer them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from click.testing import CliRunner, Result

from console.cli import main
from labelloop.answers.annotations import Annotation
from labelloop.answers.people import Person
from labelloop.labelstudio.gateway import Gateway
from labelloop.queue import lanes
from labelloop.queue.tasks import OUTPUT, SIGNATURE, Task, sign
from labelloop.reading.ids import AnnotationId, TaskId, UserId
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops, outputs, projects
from sync.pull.settle import settle_alerts
from sync.pull.take_in import Pull
from tests.support.backend_factory import put_into_label_studio
from tests.support.sync_loop import XML, YAML, SyncLoop, region

ANNE, BEN = UserId(1), UserId(2)
PEOPLE = {ANNE: Person("anne@example.org", "Anne"), BEN: Person("ben@example.org", "Ben")}
AT = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = parse("pets", YAML, XML)


@dataclass
class Board:
    """Tasks of the loop `pets` as a Label Studio would show them, without one."""

    database: Database
    tasks: dict[TaskId, Task] = field(default_factory=dict)
    clock: int = 0

    def open(self, n: int) -> list[TaskId]:
        with self.database.transaction() as conn:
            loops.register(conn, SPEC)
            made = [SyncLoop.output(0.5, key=f"k{i}") for i in range(n)]
            outputs.insert(conn, "pets", [outputs.Row.of(one, lanes.place(one, SPEC)) for one in made])
            put_into_label_studio(conn, "pets", n)
            conn.execute("update tasks set instance = (select instance from projects)")
            found = conn.execute(
                "select t.label_studio_id, o.id, o.data from tasks t join outputs o on o.id = t.output_id order by 1"
            ).fetchall()
        for row in found:
            data = {**row["data"], OUTPUT: str(row["id"]), SIGNATURE: sign(b"", row["id"])}
            self.tasks[row["label_studio_id"]] = Task(row["label_studio_id"], data, AT, [], 0)
        return list(self.tasks)

    def write(self, ids: Sequence[TaskId], label: str, who: UserId) -> None:
        """Let a person answer these tasks, or edit their only annotation."""
        for id_ in ids:
            self.clock += 1
            at = AT + timedelta(seconds=self.clock)
            before = self.tasks[id_].annotations
            annotation = Annotation(
                id=AnnotationId(id_), task_id=id_, result=region(label),
                completed_by=before[0].completed_by if before else who, updated_by=who, was_cancelled=False,
                ground_truth=False, lead_time_s=1.0, parent_prediction=None, created_at=AT, updated_at=at,
            )  # fmt: skip
            self.tasks[id_] = replace(
                self.tasks[id_], updated_at=at, annotations=[annotation], annotated=1, updated_by=who
            )

    def pull(self) -> None:
        with self.database.transaction() as conn:
            row = projects.get(conn, "pets")
        assert row is not None
        settle_alerts(self.database, SPEC)
        Pull(self.database, cast("Gateway", None), SPEC, row, dict(PEOPLE)).take_in(list(self.tasks.values()))

    def sql(self, statement: str) -> list[dict[str, Any]]:
        with self.database.transaction() as conn:
            return conn.execute(statement).fetchall()

    def said(self) -> dict[tuple[str, str], int]:
        """Number of answers by label and person."""
        found = self.sql(
            """
            select f.label, r.email, count(*) as n
            from feedback f join reviewers r on r.id = f.reviewer_id group by 1, 2
            """
        )
        return {(row["label"], row["email"]): row["n"] for row in found}

    def run(self, *words: str) -> Result:
        env = {"LABELLOOP_DATABASE_URL": self.database.url, "USER": "ada"}
        return CliRunner().invoke(main, ["alerts", *words], env=env)
