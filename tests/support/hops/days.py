"""A loop with a budget, on the real Postgres and by the real push, without Label Studio's part of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.reading.ids import TaskId
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import batches, loops, outputs, projects
from sync.intake.status import statuses
from sync.push.batches import adopt
from sync.push.budget import pass_over
from sync.push.claims import Claims

DAY_S = 86_400
RULE_ONLY = "holdout: 0, audit: 0, queue: {window: 1000, diversity: 0}"
SHARES = "control: 0.1, audit: 0.1, holdout: 0.2, gold: 0.1"
MIXED = f"holdout: 0.3, audit: 0.3, queue: {{window: 1000, diversity: 0, {SHARES}}}"


class Days:
    """A loop, and pushes to a Label Studio that takes every task at once."""

    def __init__(self, database: Database, limits: str, rest: str = RULE_ONLY) -> None:
        self.database = database
        self.spec = spec(limits, rest)
        self._ids = iter(range(1, 100_000))
        left_s = DAY_S - time.time() % DAY_S
        if left_s < 20:  # else a new day would begin in the middle of the test
            time.sleep(left_s + 0.1)
        with database.transaction() as conn:
            loops.register(conn, self.spec)
            conn.execute(
                "insert into projects (loop, label_studio_url, project_id, signing_key) values ('pets', 'x', 7, 'k')"
            )

    def submit(self, *made: Output) -> None:
        with self.database.transaction() as conn:
            outputs.insert(conn, self.spec.name, [outputs.Row.of(one, lanes.place(one, self.spec)) for one in made])

    def push(self) -> list[str]:
        """Push as the worker does; return the keys of the new tasks."""
        pass_over(self.database, self.spec)
        keys: list[str] = []
        claims = Claims(self.database, self.spec, lambda: None)
        while (claim := claims.next()) is not None:
            assert claim.batch_id is not None
            with self.database.transaction() as conn:
                project = projects.get(conn, self.spec.name)
                assert project is not None
                rows = batches.items(conn, claim.batch_id)
                assert batches.send(conn, claim.batch_id)
                adopt(conn, project, claim.batch_id, {row.output_id: TaskId(next(self._ids)) for row in rows})
            keys += [row.key for row in rows]
        return keys

    def sleep(self, days: int = 1) -> None:
        """Make all that happened so far `days` older."""
        with self.database.transaction() as conn:
            conn.execute(
                """
                update tasks set pushed_at = pushed_at - make_interval(days => %(days)s);
                update outputs set received_at = received_at - make_interval(days => %(days)s);
                update loops set budget_day = budget_day - %(days)s::integer
                """.replace("%(days)s", str(int(days)))
            )

    def states(self) -> Mapping[str, str]:
        with self.database.transaction() as conn:
            return {row["key"]: row["state"] for row in conn.execute("select key, state::text from outputs")}

    def status(self, key: str) -> Mapping[str, Any]:
        with self.database.transaction() as conn:
            return statuses(conn, self.spec, [key], None)[0]


def spec(limits: str, rest: str = RULE_ONLY) -> LoopSpec:
    text = f"feedback_loop: {{trigger: model_confidence < 0.9, labels: [cat, dog], budget: {limits}, {rest}}}"
    return parse("pets", text)


def output(key: str, confidence: float, label: str = "cat", source: str | None = None) -> Output:
    return Output(key, {"text": f"{key} {key}"}, label=label, confidence=confidence, source=source)


def ten(prefix: str = "k", **fields: Any) -> list[Output]:
    """Ten outputs, the most useful first."""
    return [output(f"{prefix}{i}", 0.5 + i / 100, **fields) for i in range(10)]
