"""A push of more outputs than one import holds: several imports, of which one is prepared while another is made."""

from __future__ import annotations

import threading

import pytest

from labelloop.errors import Ambiguous
from labelloop.queue.order import MAX_BATCH
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from sync.push.batches import PushReport
from tests.support.network.faultproxy import proxy
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, YAML, sync_loop, wait_until

WIDE = parse("pets", YAML.replace("window: 50", f"window: {3 * MAX_BATCH}"), XML)
REST = 40


def test_while_label_studio_makes_tasks_the_next_ones_are_prepared(
    database: Database, label_studio: LabelStudio
) -> None:
    with (
        proxy(label_studio.url) as between,
        sync_loop(database, label_studio.url, label_studio.token, of=WIDE, through=between.url) as loop,
    ):
        loop.push()
        n = MAX_BATCH + REST
        loop.submit(n)
        between.arm("hold request")
        reports: list[PushReport] = []
        pushing = threading.Thread(target=lambda: reports.append(loop.push()))
        pushing.start()
        try:
            wait_until(lambda: loop.states() == {"pushing": n}, what="both batches are claimed")
            states = loop.sql("select state, size from batches where kind = 'tasks' order by size")
            assert [(row["state"], row["size"]) for row in states] == [("intent", REST), ("sending", MAX_BATCH)]
        finally:
            between.let_go.set()
            pushing.join()
        assert reports == [PushReport(pushed=n)]
        assert loop.tasks_an_output() == [1] * n
        rows = loop.sql("select utility, priority from tasks order by priority desc")
        utilities = [row["utility"] for row in rows]
        assert utilities == sorted(utilities, reverse=True), "over all batches, the most useful are served first"
        assert len({row["priority"] for row in rows}) == n
        assert loop.push() == PushReport()


def test_outputs_that_were_claimed_behind_a_batch_that_failed_wait_again(
    database: Database, label_studio: LabelStudio
) -> None:
    with (
        proxy(label_studio.url) as between,
        sync_loop(database, label_studio.url, label_studio.token, of=WIDE, through=between.url) as loop,
    ):
        loop.push()
        loop.submit(MAX_BATCH + REST)
        between.arm("drop reply")
        with pytest.raises(Ambiguous):
            loop.push()
        assert loop.states() == {"pushing": MAX_BATCH, "waiting": REST}
        assert loop.push() == PushReport(adopted=MAX_BATCH, pushed=REST)
        assert loop.tasks_an_output() == [1] * (MAX_BATCH + REST)
