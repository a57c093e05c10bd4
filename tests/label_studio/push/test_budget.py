"""The budget of a day, on the real Label Studio and the real Postgres."""

from __future__ import annotations

from typing import Any

import pytest

from labelloop.errors import Ambiguous
from labelloop.queue.batches import BatchState
from labelloop.spec.budget import Budget
from labelloop.spec.sections import Queue
from labelloop.store.database import Database
from labelloop.store.tables import batches
from sync.push.batches import PushReport, put_back
from tests.support.network.faultproxy import proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

A_DAY_LATER = """
    update tasks set pushed_at = pushed_at - interval '1 day';
    update outputs set received_at = received_at - interval '1 day';
    update loops set budget_day = budget_day - 1
"""


def test_each_day_gets_its_tasks_and_the_outputs_over_the_budget_pass(
    database: Database, label_studio: LabelStudio
) -> None:
    budget = Budget(per_day=3, over="pass")
    with sync_loop(database, label_studio.url, label_studio.token, budget=budget) as loop:
        loop.submit(7)
        assert loop.push() == PushReport(pushed=3)
        assert loop.push() == PushReport()
        loop.do(A_DAY_LATER)
        loop.submit(2)
        assert loop.push() == PushReport(pushed=2, over_budget=4)
        assert loop.push() == PushReport()
        assert loop.states() == {"in_review": 5, "passed": 4}
        assert loop.tasks_an_output() == [1] * 5


def test_a_task_that_comes_late_is_adopted_although_its_output_has_passed(
    database: Database, label_studio: LabelStudio
) -> None:
    changes: dict[str, Any] = {
        "budget": Budget(per_day=1, over="pass"),
        "queue": Queue(strategy="least_confidence", diversity=0.0, audit=0.0, holdout=0.0),
    }
    with (
        proxy(label_studio.url) as faults,
        sync_loop(database, label_studio.url, label_studio.token, through=faults.url, **changes) as loop,
    ):
        loop.submit(1)
        loop.push()
        loop.do(A_DAY_LATER)
        loop.submit(1)
        faults.arm("drop reply")
        with pytest.raises(Ambiguous):
            loop.push()
        _give_up(loop)
        loop.submit(1, confidences=[0.1])
        assert loop.push() == PushReport(pushed=1), "the second day's task; the other one waits again"
        loop.do(A_DAY_LATER)
        assert loop.push() == PushReport(over_budget=1)
        assert loop.states() == {"in_review": 2, "passed": 1}
        assert loop.pull(full=True).adopted == 1
        assert loop.states() == {"in_review": 3}
        assert loop.tasks_an_output() == [1] * 3


def _give_up(loop: SyncLoop) -> None:
    """Put the batch whose reply was lost back, as after the grace."""
    with loop.database.transaction() as conn:
        (batch,) = batches.open_(conn, loop.spec.name)
        put_back(conn, batch.id, BatchState.SENDING, BatchState.ABANDONED, "the grace is over")
