"""The page of an annotator: generated forms in Label Studio's own editor, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import prelabels, versions
from labelloop.store.tables.prelabels import Prelabel
from labelloop.versions.version import Stage
from tests.support.review.browser import a_browser
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until

CHAMPION = "c" * 64
TICKETS = Path(__file__).parents[3] / "labeling_configs/tickets"


def tickets(n_labels: int) -> LoopSpec:
    """The shipped loop of texts, with labels of its own, and nothing left to chance."""
    spec = load(TICKETS).model_copy(update={"holdout": 0.0, "audit": 0.0})
    return spec.with_labels(["billing", "delivery", *(f"other {i}" for i in range(2, n_labels))])


@contextmanager
def labeling(loop: SyncLoop, label_studio: LabelStudio) -> Iterator[Page]:
    """The label stream, as `Label All Tasks` opens it."""
    with a_browser() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(90_000)
        page.goto(f"{label_studio.url}/user/login/")
        page.fill("input[name=email]", label_studio.email)
        page.fill("input[name=password]", label_studio.password)
        page.press("input[name=password]", "Enter")
        page.wait_for_url(lambda url: "login" not in url)
        page.goto(f"{label_studio.url}/projects/{loop.project_id}/data")
        page.get_by_text("Label All Tasks").click()
        expect(page.get_by_label("Submit current annotation")).to_be_visible()
        yield page


def submit(page: Page) -> None:
    page.get_by_label("Submit current annotation").click()


def stored(loop: SyncLoop) -> list[tuple[bool | None, str | None]]:
    loop.pull()
    return [(row["approval"], row["correction"]) for row in loop.sql("select approval, correction from feedback")]


def test_an_untouched_page_rejects_nothing_and_a_reject_finds_the_models_guess_ticked(
    database: Database, label_studio: LabelStudio
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=tickets(3)) as loop:
        shares = {"billing": 0.6, "delivery": 0.3, "other 2": 0.1}
        [key] = loop.submit(1, probabilities=shares)
        with database.transaction() as conn:
            versions.insert(conn, "tickets", CHAMPION, learner="text", classes=["a"], size_bytes=1, trained_on=1)
            versions.set_stage(conn, CHAMPION, Stage.CHAMPION)
            versions.record_promotion(
                conn, "tickets", epoch=1, version_id=CHAMPION, previous_id=None, by="a test", why="to see"
            )
            [row] = conn.execute("select id from outputs where key = %s", (key,)).fetchall()
            prelabels.write(conn, [Prelabel(row["id"], 0.4, "delivery", 0.8, CHAMPION[:12], CHAMPION[:12], margin=0.7)])
        loop.push()
        with labeling(loop, label_studio) as page:
            expect(page.get_by_text("billing").filter(visible=True)).to_have_count(1)
            expect(page.get_by_text("delivery").filter(visible=True)).to_have_count(0)  # one guess on the page
            submit(page)
            expect(page.get_by_text('Checkbox "verdict" is required.')).to_be_visible()
            assert stored(loop) == []
            # A page loaded anew has no message over it; after a click on its OK it stayed once, on a busy machine.
            page.reload()
            expect(page.get_by_label("Submit current annotation")).to_be_visible()
            page.keyboard.press("2")
            expect(page.get_by_label("delivery")).to_be_checked()
            submit(page)
            wait_until(lambda: stored(loop) == [(False, "delivery")], what="the correction")


@pytest.mark.parametrize(("key", "label"), [("4", "other 17"), ("7", "delivery")], ids=["likeliest", "of-the-list"])
def test_the_three_likeliest_of_many_labels_are_one_key_away(
    database: Database, label_studio: LabelStudio, key: str, label: str
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=tickets(30)) as loop:
        loop.submit(1, probabilities={"billing": 0.3, "other 17": 0.28, "other 20": 0.27, "delivery": 0.15})
        loop.push()
        with labeling(loop, label_studio) as page:
            expect(page.get_by_text("other 17").filter(visible=True)).to_have_count(0)
            page.keyboard.press("2")  # reject; nothing was ticked, the model might as well have tossed a coin
            expect(page.get_by_text("other 17").filter(visible=True)).to_have_count(2)
            # The editor gives out its keys anew when it has read the task's own choices.
            expect(page.get_by_text("[4]", exact=True).filter(visible=True)).to_have_count(1)
            page.keyboard.press(key)
            expect(page.locator("input:checked")).to_have_count(2)
            submit(page)
            wait_until(lambda: stored(loop) == [(False, label)], what="the answer")
