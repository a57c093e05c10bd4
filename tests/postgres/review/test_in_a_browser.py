"""Decisions on the review pages in a real browser: with a mouse, with keys only, and without scripts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from psycopg.types.json import Jsonb

from labelloop.store.tables import runs
from tests.support.review.desk import PATIENCE_MS, Desk


def test_a_person_looks_promotes_and_rolls_back(desk: Desk) -> None:
    with desk.page() as page:
        desk.log_in(page)
        page.get_by_role("link", name="open the run").click()
        expect(page.locator("#verdict")).to_contain_text("Passed the gate")
        page.wait_for_load_state()
        assert page.locator(".chart.wide svg:visible").count() == 3
        task = page.get_by_role("link", name="in Label Studio").first.get_attribute("href")
        assert task is not None
        assert task.startswith("http://test/projects/30/data?task=")
        drawn = page.locator("td img").first
        assert drawn.evaluate("image => image.complete && image.naturalWidth") == 8
        assert len(page.locator("tr.fell").all()) == 1
        assert "got worse" in page.locator("tr.fell").inner_text()

        page.get_by_role("link", name=f"Promote {desk.challenger[:12]}").click()
        expect(page.locator("h1")).to_have_text(f"Promote version {desk.challenger[:12]}?")
        page.get_by_role("button", name="Promote").click()
        expect(page.locator("h1")).to_have_text(f"Promote version {desk.challenger[:12]}?")  # no reason, no deed
        page.get_by_label("Reason").fill("better on eights, and no slice that matters fell")
        page.get_by_role("button", name="Promote").click()
        expect(page.get_by_role("status")).to_contain_text(f"{desk.challenger[:12]} is champion of digits now")

        page.get_by_role("link", name="Roll back").click()
        page.get_by_label("Roll back to").select_option(desk.champion)
        page.get_by_label("Reason").fill("to see that it can be undone")
        page.get_by_role("button", name="Roll back").click()
        expect(page.get_by_role("status")).to_contain_text(f"went back from {desk.challenger[:12]}")
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("h1")).to_have_text("Log in")


def test_what_the_gate_refused_is_promoted_in_two_steps_with_a_reason(desk: Desk) -> None:
    with desk.database.transaction() as conn:
        conn.execute(
            "update retrain_runs set status = 'refused', scores = scores || '{\"passed\": false}' where id = %s",
            (desk.run,),
        )
    with desk.page(java_script_enabled=False) as page:
        desk.log_in(page, f"/review/runs/{desk.run}")
        promote = page.get_by_role("link", name="Promote although the gate refused it")
        expect(promote).not_to_be_visible()
        page.get_by_text("Promote it although it was refused").click()
        promote.click()
        expect(page.locator("main .bad").first).to_contain_text("The gate refused it: accuracy ")
        page.get_by_label("Reason").fill("checked by hand")
        page.get_by_role("button", name="Promote although the gate refused it").click()
        expect(page.get_by_role("status")).to_contain_text("is champion of digits now")


def test_a_version_is_named_and_its_model_downloaded_without_scripts(desk: Desk) -> None:
    with desk.page(java_script_enabled=False) as page:
        desk.log_in(page, f"/review/versions/{desk.challenger}")
        page.get_by_text("Add name, tags and note").click()
        page.get_by_label("Name").fill("Sevens fixed")
        page.get_by_label("Tags").fill("audited, eu")
        page.get_by_label("Note").fill("after the scanner was changed")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status")).to_have_text("Name, tags and note are saved.")
        expect(page.locator("h1")).to_contain_text("Sevens fixed, version")
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the model").click()
        assert download.value.suggested_filename == f"{desk.challenger}.skops"
        assert hashlib.sha256(Path(download.value.path()).read_bytes()).hexdigest() == desk.challenger


def test_a_decision_needs_no_mouse(desk: Desk) -> None:
    with desk.page() as page:
        page.goto(f"{desk.base}/review/")
        press_to(page, "token")
        page.keyboard.type(desk.token)
        with page.expect_navigation():  # words are there before the style sheet, which shows where the keyboard is
            page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Loops")
        page.keyboard.press("Tab")
        assert focused(page) == "Skip to the content"
        page.keyboard.press("Enter")
        for name in ("open the run", "Refuse", "why"):
            press_to(page, name)
            if name != "why":
                with page.expect_navigation():
                    page.keyboard.press("Enter")
        page.keyboard.type("worse on what scanner 2 sends")
        press_to(page, f"Refuse run {desk.run[:8]}")
        page.keyboard.press("Enter")
        expect(page.locator("#verdict")).to_have_text("Refused: the champion stays.")


def focused(page: Page) -> str:
    """Return the id or the text of the element that has the keyboard."""
    return str(page.evaluate("document.activeElement.id || document.activeElement.innerText"))


def press_to(page: Page, name: str) -> None:
    """Tab until the element with this id or text has the keyboard, and can be seen to have it."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if focused(page) == name:
            style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid", f"{name} does not show that it has the keyboard"
            return
    raise AssertionError(f"the Tab key does not lead to {name!r}")


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_training_is_watched_as_it_goes(desk: Desk, scripts: bool) -> None:
    def say(status: str, step: str, done: int) -> None:
        with desk.database.transaction() as conn:
            conn.execute(
                "update retrain_runs set status = %s::run_status, progress = %s, finished_at = now() where id = %s",
                (status, Jsonb({"step": step, "done": done, "of": 8}), run_id),
            )

    with desk.database.transaction() as conn:
        run_id = runs.request(conn, "digits", "a test")
    say("running", "search", 2)
    with desk.page(java_script_enabled=scripts) as page:
        desk.log_in(page, f"/review/runs/{run_id}")
        expect(page.locator("[data-step]")).to_have_text("search")
        assert page.locator("progress").get_attribute("value") == "2"
        say("running", "fit", 5)
        if not scripts:
            page.get_by_role("link", name="Reload").click()
        expect(page.locator("[data-step]")).to_have_text("fit", timeout=PATIENCE_MS)
        expect(page.locator("[data-count]")).to_have_text("5 of 8")
        say("refused", "", 0)
        if not scripts:
            page.get_by_role("link", name="Reload").click()
        expect(page.locator("#verdict")).to_have_text("Refused: the champion stays.", timeout=PATIENCE_MS)
