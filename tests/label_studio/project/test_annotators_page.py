"""The page of an annotator: generated forms in Label Studio's own editor, in a real browser."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from labelloop.spec.folder import load
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import prelabels, versions
from labelloop.store.tables.prelabels import Prelabel
from labelloop.versions.version import Stage
from tests.support.review.editor import labeling, submit
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until

CHAMPION = "c" * 64
TICKETS = Path(__file__).parents[3] / "labeling_configs/tickets"


def tickets(n_labels: int) -> LoopSpec:
    """The shipped loop of texts, with labels of its own, and nothing left to chance."""
    spec = load(TICKETS).model_copy(update={"holdout": 0.0, "audit": 0.0})
    return spec.with_labels(["billing", "delivery", *(f"other {i}" for i in range(2, n_labels))])


def stored(loop: SyncLoop) -> list[tuple[bool | None, str | None]]:
    loop.pull()
    return [(row["approval"], row["correction"]) for row in loop.sql("select approval, correction from feedback")]


def test_an_untouched_page_rejects_nothing_and_a_reject_finds_the_models_guess_ticked(
    browser: Browser, database: Database, label_studio: LabelStudio
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
        with labeling(browser, loop, label_studio) as page:
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
