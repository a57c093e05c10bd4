"""A person at the review pages, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, ViewportSize
from psycopg.types.json import Jsonb

from labelloop.store.database import Database

LAPTOP: ViewportSize = {"width": 1440, "height": 900}


PHONE: ViewportSize = {"width": 390, "height": 844}


PATIENCE_MS = 30_000


MISPLACED = """() => {
  const found = [], box = node => node.getBoundingClientRect();
  for (const chart of document.querySelectorAll(".chart svg")) {
    if (!box(chart).width) continue;
    const words = [...chart.querySelectorAll("text")], edge = box(chart);
    for (const [i, word] of words.entries()) {
      const a = box(word);
      if (a.left < edge.left - 1 || a.right > edge.right + 1 || a.top < edge.top - 1 || a.bottom > edge.bottom + 1)
        found.push(`cut off: ${word.textContent}`);
      for (const other of words.slice(i + 1)) {
        const b = box(other);
        if (a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
          found.push(`${word.textContent} over ${other.textContent}`);
      }
    }
  }
  for (const table of document.querySelectorAll("main table")) {
    if (!box(table).width) continue;
    const frame = table.closest("[role=region]"), heads = [...table.querySelectorAll("caption, thead th")];
    const hidden = table.tHead !== null && box(table.tHead).width <= 1;
    if (frame === null) found.push(`no frame: ${table.innerText.slice(0, 60)}`);
    else if (table.caption && box(table.caption).width > box(frame).width + 1) found.push(table.caption.innerText);
    for (const head of heads.filter(head => !head.children.length && !(hidden && head.tagName === "TH"))) {
      const range = document.createRange();
      for (const node of head.childNodes) {
        for (const word of node.data.matchAll(/[^\\s-]+/g)) {
          range.setStart(node, word.index);
          range.setEnd(node, word.index + word[0].length);
          if (range.getClientRects().length > 1) found.push(`broken: ${word[0]}`);
        }
      }
    }
  }
  return found;
}"""
"""Finds words of charts that are cut off or lie over others, tables and captions outside a frame, and broken heads."""


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
        page.wait_for_load_state()  # until then the page may be incomplete, and a count too low


def check(page: Page) -> None:
    """No violation of WCAG that axe can find, no scrolling sideways, and every word in its place."""
    page.wait_for_load_state()  # words are there before the style sheet is
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
    check_width(page)
    misplaced = page.evaluate(MISPLACED)
    assert not misplaced, f"{page.url}: {misplaced}"


def check_width(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), page.url


def check_tables_are_whole(page: Page) -> None:
    """No visible cell of a table reaches beyond the screen, and on a phone each figure has its name beside it."""
    page.wait_for_load_state()  # words are there before the style sheet is
    cells = page.locator("table:is(.stacked, .fits) :is(th, td):visible:not(.stacked thead th)")
    assert cells.count() > 0
    right = cells.evaluate_all("nodes => Math.max(...nodes.map(node => node.getBoundingClientRect().right))")
    width = page.evaluate("document.documentElement.clientWidth")
    assert right <= width, f"{right:g} of {width}: {page.url}"
    if width < 600:
        named = page.locator("table.stacked td:visible").evaluate_all(
            "nodes => nodes.every(node => getComputedStyle(node, '::before').content.length > 4)"
        )
        assert named, page.url


def with_labels(desk: Desk, n: int) -> None:
    """The run's confusion matrix as of a loop with so many labels, as long as those of banking77."""
    labels = [f"label_{i:03}_{'with_a_long_name_of_its_own'[: i % 28]}" for i in range(n)]
    counts = [[7 if row == column else int(column == (row * 5) % n) for column in range(n + 1)] for row in range(n)]
    confusion = {"labels": labels, "champion": counts, "challenger": counts}
    with desk.database.transaction() as conn:
        conn.execute("update retrain_runs set scores = scores || %s", (Jsonb({"confusion": confusion}),))
