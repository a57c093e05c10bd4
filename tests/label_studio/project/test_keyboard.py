"""An annotator without a mouse, in Label Studio's own editor: answers, comments and submits, again and again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from labelloop.spec.folder import load
from labelloop.store.database import Database
from tests.support.review.editor import SUBMIT, labeling, submitted
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until

TICKETS = Path(__file__).parents[3] / "labeling_configs/tickets"
LABELS = ["billing", "delivery", "other"]
LEAST_AN_HOUR = 200
ANSWERS = 12
SHARES = {"billing": 0.6, "delivery": 0.3, "other": 0.1}


def at(loop: SyncLoop, page: Page, before: str) -> str:
    """Wait for another task than `before` to be on the page, with its keys; return its text."""
    shown = page.locator(".labelloop-item")
    expect(shown).not_to_have_text(before)
    expect(page.get_by_text("approve[1]")).to_be_visible()
    return shown.inner_text()


WAYS: dict[str, tuple[list[str], tuple[bool, str | None, str | None]]] = {
    "approve": ([SUBMIT], (True, None, None)),  # the guess is the pipeline's answer, so approve is ticked
    "correct": (["2", "4", SUBMIT], (False, "delivery", None)),
    "comment": (["Tab", *"odd 12", "Shift+Enter", "2", "5", SUBMIT], (False, "other", "odd 12")),
}
"""By kind of answer: its keys, and its approval, correction and comment as they are stored."""


def test_by_keys_alone_a_person_gives_more_than_200_answers_an_hour(
    browser: Browser, database: Database, label_studio: LabelStudio, record_property: Callable[[str, object], None]
) -> None:
    """The browser waits for Label Studio as a person would, and for nothing else; the machine of a test is busy."""
    spec = load(TICKETS).model_copy(update={"holdout": 0.0, "audit": 0.0}).with_labels(LABELS)
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        loop.submit(ANSWERS * len(WAYS) + 1, probabilities=SHARES)
        loop.push()
        with labeling(browser, loop, label_studio) as page:
            text = at(loop, page, "")
            for how, (strokes, _) in WAYS.items():
                began = time.monotonic()
                for _ in range(ANSWERS):
                    with submitted(page):
                        for stroke in strokes:
                            page.keyboard.press(stroke)
                    text = at(loop, page, text)
                an_hour = 3600 * ANSWERS / (time.monotonic() - began)
                record_property(f"answers_an_hour: {how}", round(an_hour))
                print(f"{how}: {len(strokes)} keys an answer, {an_hour:.0f} answers an hour")
                assert an_hour > LEAST_AN_HOUR
        given = ANSWERS * len(WAYS)
        wait_until(lambda: loop.pull() and len(loop.sql("select 1 from feedback")) == given, what="the answers")
        said = Counter(
            (row["approval"], row["correction"], row["comment"]) for row in loop.sql("select * from feedback")
        )
        assert said == {stored: ANSWERS for _, stored in WAYS.values()}
