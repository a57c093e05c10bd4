"""The review pages in a real browser, on the real server and Postgres: looked at, decided on, checked by axe."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize, expect
from psycopg.types.json import Jsonb
from werkzeug.serving import make_server

from backend.review import reports
from backend.service import create_app
from labelloop.store import access, runs
from labelloop.store.database import Database
from tests.backend_factory import settings_for
from tests.browser import a_browser
from tests.integration.conftest import JudgedLoop

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
            run = reports.run_report(conn, made.run)
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
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url


def test_a_person_looks_promotes_and_rolls_back(desk: Desk) -> None:
    with desk.page() as page:
        desk.log_in(page)
        page.get_by_role("link", name="look at the run").click()
        expect(page.locator("#verdict")).to_contain_text("It passed the gate")
        assert page.locator(".chart.wide svg:visible").count() == 3
        task = page.get_by_role("link", name="in Label Studio").first.get_attribute("href")
        assert task is not None
        assert task.startswith("http://test/projects/30/data?task=")
        drawn = page.locator("td img").first
        assert drawn.evaluate("image => image.complete && image.naturalWidth") == 8
        assert len(page.locator("tr.fell").all()) == 1
        assert "fell" in page.locator("tr.fell").inner_text()

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
        for name in ("look at the run", "Refuse", "why"):
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
            page.get_by_role("link", name="Look again").click()
        expect(page.locator("[data-step]")).to_have_text("fit", timeout=PATIENCE_MS)
        expect(page.locator("[data-count]")).to_have_text("5 of 8")
        say("refused", "", 0)
        if not scripts:
            page.get_by_role("link", name="Look again").click()
        expect(page.locator("#verdict")).to_have_text("Refused: the champion stays.", timeout=PATIENCE_MS)
