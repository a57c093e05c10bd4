"""The steps before an item, in the real Label Studio: in the data of its task, and readable above the item."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from sync.push.batches import PushReport
from tests.support.hops.chained import review
from tests.support.servers import LabelStudio
from tests.support.sync_loop import XML, YAML, SyncLoop, sync_loop

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
GENERATED = YAML + "  steps: {show: true}\n"
GIVEN = XML.replace("<View>", '<View><Text name="before" value="$labelloop_steps"/>', 1)


def submit_chain(loop: SyncLoop) -> None:
    for i, step in enumerate(("retrieve", "draft", "answer")):
        at = BEGIN + timedelta(seconds=i)
        loop.submit(1, key=f"t/{step}", trace="t", step=step, produced_at=at, data={"text": f"the text of {step}"})
    review(loop.database, "t/retrieve", "dog")


@pytest.mark.parametrize("of", [parse("pets", GENERATED), parse("pets", YAML, GIVEN)], ids=["generated", "given"])
def test_a_task_shows_the_steps_before_it(database: Database, label_studio: LabelStudio, of: LoopSpec) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=of) as loop:
        submit_chain(loop)
        loop.submit(1, key="alone")
        assert loop.push() == PushReport(pushed=3)
        first = "1. retrieve\nthe text of retrieve\nLabel of the pipeline: cat\nCorrected by people: dog"
        second = "2. draft\nthe text of draft\nLabel of the pipeline: cat"
        shown = {key: loop.task_of(key)["data"]["labelloop_steps"] for key in ("t/draft", "t/answer", "alone")}
        assert shown == {"t/draft": first, "t/answer": f"{first}\n\n{second}", "alone": "There is no earlier step."}

        # A step that comes later than the task leaves the open task as it is.
        loop.submit(1, key="t/rerank", trace="t", step="rerank", produced_at=BEGIN, data={"text": "late"})
        loop.push()
        assert loop.task_of("t/draft")["data"]["labelloop_steps"] == first


def test_a_form_that_asks_for_no_steps_gets_none(database: Database, label_studio: LabelStudio) -> None:
    with sync_loop(database, label_studio.url, label_studio.token) as loop:
        submit_chain(loop)
        loop.push()
        assert "labelloop_steps" not in loop.task_of("t/answer")["data"]
