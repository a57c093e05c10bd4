"""The templates of `labelloop init` in the real Label Studio: their samples become tasks, and people see a dialogue."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from console.files.templates import FOLDER, SAMPLES, names
from labelloop.spec.folder import load
from labelloop.store.database import Database
from sync.intake import taking
from tests.support.review.browser import a_browser
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until


def submitted(loop: SyncLoop, template: str) -> int:
    """Submit the template's samples and push them; return how many people are asked about."""
    lines = (FOLDER / template / SAMPLES).read_bytes().splitlines()
    with loop.database.transaction() as conn:
        taken = taking.take(conn, loop.spec, enumerate(lines, start=1))
    loop.push()
    return sum(stored.state == "waiting" for stored in taken.outputs)


@pytest.mark.parametrize("template", names())
def test_label_studio_takes_the_form_and_the_samples(
    database: Database, label_studio: LabelStudio, template: str
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=load(FOLDER / template)) as loop:
        asked = submitted(loop, template)
        assert asked > 0
        states = {row["state"]: row["n"] for row in loop.sql("select state, count(*) as n from outputs group by state")}
        assert states.get("in_review", 0) == asked
        assert "quarantined" not in states


def test_people_read_a_dialogue_and_its_answer_comes_back(database: Database, label_studio: LabelStudio) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=load(FOLDER / "dialogue")) as loop:
        submitted(loop, "dialogue")
        with a_browser() as browser:
            page = browser.new_page(viewport={"width": 1440, "height": 1100})
            page.set_default_timeout(90_000)
            page.goto(f"{label_studio.url}/user/login/")
            page.fill("input[name=email]", label_studio.email)
            page.fill("input[name=password]", label_studio.password)
            page.press("input[name=password]", "Enter")
            page.wait_for_url(lambda url: "login" not in url)
            page.goto(f"{label_studio.url}/projects/{loop.project_id}/data")
            page.get_by_text("Label All Tasks").click()
            expect(page.get_by_label("Submit current annotation")).to_be_visible()
            expect(page.get_by_text("You are the assistant of a shop.").first).to_be_visible()
            for author in ("system", "user", "assistant"):
                expect(page.get_by_text(author, exact=True).first).to_be_visible()
            page.keyboard.press("3")
            expect(page.get_by_label("reject")).to_be_checked()
            page.get_by_label("Submit current annotation").click()

            def labels() -> list[str]:
                loop.pull()
                return [row["label"] for row in loop.sql("select label from answers")]

            wait_until(lambda: labels() == ["reject"], what="the answer")
