"""The review pages in a real browser, on the real server and Postgres: looked at, decided on, checked by axe."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize, expect
from psycopg.types.json import Jsonb
from werkzeug.serving import make_server

from backend.report.runs import run_report
from backend.service import create_app
from labelloop.store.database import Database
from labelloop.store.tables import access, descriptions, runs
from labelloop.versions.descriptions import Description
from tests.support.backend_factory import settings_for
from tests.support.browser import a_browser
from tests.support.judged_loop import JudgedLoop

LAPTOP: ViewportSize = {"width": 1440, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
PATIENCE_MS = 30_000


@dataclass
class Desk:
    """The served pages, and a way to open them."""

    base: str
    browser: Browser
    database: Database
    token: str
    run: str
    champion: str
    challenger: str
    strays: list[str] = field(default_factory=list)
    """Requests that would leave the machine, and what the browser complained of."""

    @contextmanager
    def page(
        self, viewport: ViewportSize = LAPTOP, scheme: Literal["light", "dark"] = "light", **how: Any
    ) -> Iterator[Page]:
        context = self.browser.new_context(viewport=viewport, color_scheme=scheme, **how)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("request", self._asked)
        page.on("console", self._complained)
        yield page
        context.close()

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:")):
            self.strays.append(request.url)

    def _complained(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.strays.append(message.text)

    def log_in(self, page: Page, path: str = "/review/") -> None:
        page.goto(self.base + path)
        page.get_by_label("Token").fill(self.token)
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("mira may decide").wait_for()
        page.wait_for_load_state()  # else the page may end there so far, and what is counted at once is not all


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


@pytest.fixture
def desk(browser: Browser, judged_loop_copy: JudgedLoop, tmp_path: Path) -> Iterator[Desk]:
    made = judged_loop_copy
    settings = settings_for(made.url, tmp_path)
    settings = replace(settings, secret_key="a-secret-of-tests", models_dir=made.models_dir)
    with Database(made.url) as database:
        with database.transaction() as conn:
            token = access.add(conn, "mira", ["review", "promote"])
            run = run_report(conn, made.run)
        server = make_server("127.0.0.1", 0, create_app(settings, database), threaded=True)
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        desk = Desk(
            f"http://127.0.0.1:{server.port}",
            browser,
            database,
            token,
            str(made.run),
            run["champion"]["version"],
            run["challenger"]["version"],
        )
        yield desk
        server.shutdown()
        serving.join()
        server.server_close()
    assert desk.strays == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [LAPTOP, PHONE], ids=["laptop", "phone"])
def test_every_page_can_be_read_by_all_on_a_laptop_and_a_phone_in_light_and_dark(
    desk: Desk, viewport: ViewportSize, scheme: Literal["light", "dark"]
) -> None:
    with_labels(desk, 14)
    with desk.database.transaction() as conn:
        descriptions.write(conn, desk.champion, Description("Sevens", ("audited", "eu"), "a note"), "mira")
        conn.execute("update outputs set received_at = received_at - interval '1 day' where key < 'item-2'")
        conn.execute("update answers set resolved_at = resolved_at - interval '1 day' where seq % 2 = 0")
    with desk.page(viewport, scheme) as page:
        page.goto(f"{desk.base}/review/login")
        check(page)
        desk.log_in(page)
        for path in (
            "",
            "loops/digits",
            f"runs/{desk.run}",
            f"versions/{desk.champion}",
            f"versions/{desk.champion}/card",
            f"compare?a={desk.champion}&b={desk.challenger}",
            f"promote/{desk.challenger}",
            "rollback/digits",
        ):
            page.goto(f"{desk.base}/review/{path}")
            for closed in page.locator("summary").all():
                closed.click()
            check(page)


def check(page: Page) -> None:
    """No violation of WCAG that axe can find, and no scrolling sideways."""
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
    check_width(page)


def check_width(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url


def test_a_person_looks_promotes_and_rolls_back(desk: Desk) -> None:
    with desk.page() as page:
        desk.log_in(page)
        page.get_by_role("link", name="open the run").click()
        expect(page.locator("#verdict")).to_contain_text("It passed the gate")
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
        page.get_by_label("Go back to").select_option(desk.champion)
        page.get_by_label("Reason").fill("to see that it can be undone")
        page.get_by_role("button", name="Roll back").click()
        expect(page.get_by_role("status")).to_contain_text(f"went back from {desk.challenger[:12]}")
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("h1")).to_have_text("Log in")


def with_labels(desk: Desk, n: int) -> None:
    """The run's confusion matrix as of a loop with so many labels, as long as those of banking77."""
    labels = [f"label_{i:03}_{'with_a_long_name_of_its_own'[: i % 28]}" for i in range(n)]
    counts = [[7 if row == column else int(column == (row * 5) % n) for column in range(n + 1)] for row in range(n)]
    confusion = {"labels": labels, "champion": counts, "challenger": counts}
    with desk.database.transaction() as conn:
        conn.execute("update retrain_runs set scores = scores || %s", (Jsonb({"confusion": confusion}),))


def test_a_confusion_matrix_of_77_labels_is_whole_on_a_laptop_and_scrolls_in_its_frame_on_less(desk: Desk) -> None:
    with_labels(desk, 77)
    matrix = "table.confusion.many >> nth=0"
    frame = "node => [node.parentElement.scrollWidth, node.parentElement.clientWidth]"
    with desk.page() as page:
        desk.log_in(page, f"/review/runs/{desk.run}")
        wide, room = page.locator(matrix).evaluate(frame)
        assert wide <= room, "the whole matrix is seen at once"
        size = "node => parseFloat(getComputedStyle(node).fontSize)"
        heads = page.locator(matrix).locator("thead th span")
        assert heads.count() == 78, "every label, and nothing"
        assert heads.first.evaluate(size) >= 11
        cut = "nodes => nodes.filter(node => node.scrollHeight > node.clientHeight + 1).length"
        assert heads.evaluate_all(cut) == 0, "every label can be read to its end"
        boxes = heads.evaluate_all("nodes => nodes.map(node => node.getBoundingClientRect())")
        assert all(right["left"] >= left["right"] - 1 for left, right in pairwise(boxes)), (
            "no label lies over the next one"
        )
        for width in (1000, 390):
            page.set_viewport_size({"width": width, "height": 844})
            wide, room = page.locator(matrix).evaluate(frame)
            assert wide > room
            check_width(page)


def test_charts_are_as_wide_as_the_page(desk: Desk) -> None:
    with desk.page() as page:
        desk.log_in(page, f"/review/runs/{desk.run}")
        for width, kind in ((1440, "wide"), (390, "narrow")):
            page.set_viewport_size({"width": width, "height": 844})
            room = page.locator("main").evaluate(
                "node => node.clientWidth - parseFloat(getComputedStyle(node).paddingLeft) * 2"
            )
            drawn = page.locator(f".chart.{kind} svg").evaluate_all(
                "nodes => nodes.map(n => n.getBoundingClientRect().width)"
            )
            assert drawn == [pytest.approx(room, abs=1)] * 3
            other = {"wide": "narrow", "narrow": "wide"}[kind]
            assert not page.locator(f".chart.{other}").first.is_visible()
            text = page.locator(f".chart.{kind} svg text").first.evaluate("node => node.getBoundingClientRect().height")
            assert text >= 10


def test_a_phone_shows_the_verdict_and_its_reason_first(desk: Desk) -> None:
    with desk.page(PHONE) as page:
        desk.log_in(page, f"/review/runs/{desk.run}")
        for part in ("#verdict", ".verdict .reason"):
            box = page.locator(part).bounding_box()
            assert box is not None
            assert box["y"] + box["height"] < PHONE["height"], "without scrolling"


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
        page.get_by_text("Give it a name, tags and note").click()
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
    """The id or the text of what has the keyboard."""
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
