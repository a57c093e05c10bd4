"""A loop in Postgres whose people answer without a Label Studio, and what its callbacks are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from labelloop.answers.annotations import Annotation
from labelloop.process.settings import Settings
from labelloop.queue import lanes
from labelloop.reading.ids import AnnotationId, TaskId, UserId
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.callbacks import registered
from labelloop.store.database import Conn, Database
from labelloop.store.tables import annotations as annotation_store
from labelloop.store.tables import loops, outputs, projects
from sync.callbacks.send import Sender
from sync.pull.resolve import resolve
from tests.support.backend_factory import put_into_label_studio
from tests.support.sync_loop import XML, YAML, SyncLoop, region

EVERYTHING = ["output.answered", "answer.changed", "task.completed", "version.promoted"]
AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Desk:
    """The people of the loop `pets`. Each answer is pulled and resolved in the transaction of the caller."""

    database: Database
    spec: LoopSpec = field(default_factory=lambda: parse("pets", YAML, XML))
    _edits: Iterator[int] = field(default_factory=lambda: iter(range(1, 10_000)))

    def __post_init__(self) -> None:
        with self.database.transaction() as conn:
            loops.register(conn, self.spec)

    def callback(self, url: str, events: list[str] | None = None, loop: str | None = "pets") -> tuple[UUID, str]:
        with self.database.transaction() as conn:
            return registered.add(conn, loop, url, events or ["output.answered", "answer.changed"], "ada")

    def submit(self, key: str) -> UUID:
        """Submit an output that is asked about at once; submitting it again changes nothing."""
        with self.database.transaction() as conn:
            one = SyncLoop.output(0.5, key=key)
            new, known, other = outputs.insert(conn, "pets", [outputs.Row.of(one, lanes.place(one, self.spec))])
            if new:
                put_into_label_studio(conn, "pets", 1)
            return [*new, *known, *other][0].id

    def say(self, conn: Conn, output: UUID, label: str | None, *, who: int = 1) -> None:
        """Answer, edit the answer, or take it back (None)."""
        row = projects.get(conn, "pets")
        assert row is not None
        at = AT + timedelta(seconds=next(self._edits))
        annotation = Annotation(
            id=AnnotationId(output.int % (1 << 40) * 10 + who), task_id=TaskId(1), result=region(label or "cat"),
            completed_by=UserId(who), updated_by=UserId(who), was_cancelled=label is None, ground_truth=False,
            lead_time_s=1.0, parent_prediction=None, created_at=AT, updated_at=at,
        )  # fmt: skip
        projects.lock_hop(conn, "pets", "answers")
        annotation_store.add(conn, row.instance, [(annotation, output, None)])
        resolve(conn, self.spec, row.instance, [output], {})

    def answer(self, output: UUID, label: str | None, *, who: int = 1) -> None:
        with self.database.transaction() as conn:
            self.say(conn, output, label, who=who)

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with self.database.transaction() as conn:
            cursor = conn.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def told(self) -> list[tuple[str, str | None]]:
        """Event and label of each delivery, oldest first."""
        rows = self.sql("select event, fact ->> 'answer_label' as label from deliveries order by created_at")
        return [(row["event"], row["label"]) for row in rows]

    def states(self) -> list[str]:
        rows = self.sql("select state::text from deliveries order by created_at")
        return [row["state"] for row in rows]

    def later(self, hours: float) -> None:
        """Let time pass for all deliveries."""
        self.sql(
            "update deliveries set created_at = created_at - make_interval(secs => %s),"
            " next_try_at = next_try_at - make_interval(secs => %s),"
            " give_up_at = give_up_at - make_interval(secs => %s)",
            *[hours * 3600] * 3,
        )


def send(database: Database, private: str = "127.0.0.1", looks: int = 1) -> None:
    """Send what is due, as a new worker would."""

    async def run() -> None:
        sender = Sender(Settings(database_url=database.url, callback_private=private), database)
        for _ in range(looks):
            await sender.look()
            await sender.finish()

    asyncio.run(run())
