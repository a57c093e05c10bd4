"""Act as a person in Label Studio's editor: mark words with the mouse, and draw on a sound."""

from __future__ import annotations

import io
import threading
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Browser, FloatRect, Locator, Page, TimeoutError

from labelloop.reading.strict_json import dumps
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from sync.intake import taking
from tests.support.review.editor import first_task
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until

YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  holdout: 0.0
  audit: 0.0
  learner: none
  queue: {strategy: random, window: 50, audit: 0.0, holdout: 0.0}
"""
_SELECT = """(root, [start, end]) => {
  const view = root.ownerDocument.defaultView, range = root.ownerDocument.createRange();
  const nodes = root.ownerDocument.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let before = 0, begun = false;
  for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
    const length = node.data.length;
    if (!begun && before + length > start) { range.setStart(node, start - before); begun = true; }
    if (begun && before + length >= end) { range.setEnd(node, end - before); break; }
    before += length;
  }
  view.getSelection().removeAllRanges();
  view.getSelection().addRange(range);
  root.dispatchEvent(new MouseEvent("mouseup", { bubbles: true, cancelable: true, view }));
}"""
"""Select UTF-16 units of an element's text, and release the mouse, as the editor listens to it."""
_VALUES = "JSON.stringify(Htx.annotationStore.selected.serializeAnnotation().map(one => one.value))"
LABELLED = "() => Htx.annotationStore.selected.objects.some(one => one.activeStates?.()?.length)"
"""Whether a label is selected, which the next region will have."""
REGIONS = "wanted => Htx.annotationStore.selected.regions.length === wanted"
LOST_MS = 5_000
"""Time after which an act without an effect counts as lost."""


@contextmanager
def task_of(
    browser: Browser, database: Database, label_studio: LabelStudio, xml: str, data: Mapping[str, Any], label: object
) -> Iterator[tuple[SyncLoop, Page]]:
    """A loop with one output, whose pipeline gave `label`, and the page of its task."""
    spec = parse("drawing", YAML, xml)
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        line = dumps({"key": "one", "data": data, "label": label, "confidence": 0.4})
        with database.transaction() as conn:
            taking.take(conn, spec, [(1, line.encode())])
        loop.push()
        with first_task(browser, loop, label_studio) as page:
            yield loop, page


@contextmanager
def a_sound() -> Iterator[str]:
    """The address of two seconds of a sound, 8 kHz, 8 bits. The editor fetches it in a worker of its own."""

    class Sound(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with io.BytesIO() as file:
                with wave.open(file, "wb") as sound:
                    sound.setnchannels(1)
                    sound.setsampwidth(1)
                    sound.setframerate(8000)
                    sound.writeframes(bytes(128 + i * 13 % 97 for i in range(16_000)))
                body = file.getvalue()
            self.send_response(200)
            for name, value in (("Content-Type", "audio/wav"), ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sound)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/two-seconds.wav"
    finally:
        server.shutdown()
        server.server_close()


def mark(page: Page, root: Locator, words: str, key: str = "1") -> None:
    """Mark these words in the element with the label of this key."""
    page.keyboard.press(key)
    start = root.evaluate("(root, words) => root.textContent.indexOf(words)", words)
    end = root.evaluate("(root, [start, words]) => start + words.length", [start, words])
    regions = regions_of(page)
    root.evaluate(_SELECT, [start, end])
    wait_until(lambda: regions_of(page) == regions + 1, what="the mark")
    page.keyboard.press("Escape")


def regions_of(page: Page) -> int:
    """Number of regions in the list at the side."""
    return page.locator(".lsf-tree__node").count()


def select_label(page: Page, key: str, label: str) -> None:
    """Select the label of this key for the next segment of a sound, with no segment selected.

    A segment drawn before its label counts is none. The key labels it later, and a second drag then changes its ends.
    """
    page.keyboard.press("Escape")
    page.wait_for_function("!Htx.annotationStore.selected.objects.some(one => one.activeLabel)")
    page.keyboard.press(key)
    page.wait_for_function(
        "label => Htx.annotationStore.selected.objects.some(one => one.activeLabel === label)", arg=label
    )


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def until(page: Page, act: Callable[[], object], state: str, what: str, arg: object = None) -> None:
    """Act until the editor is in this state: at some moments it loses a click or a key, as a person sees."""
    for _ in range(5):
        act()
        with suppress(TimeoutError):
            page.wait_for_function(state, arg=arg, timeout=LOST_MS)
            return
    raise AssertionError(f"{what} did not come, after five times")


def move(page: Page, act: Callable[[], object]) -> None:
    """Act until some region has another place or form."""
    until(page, act, f"before => {_VALUES} !== before", "the move", page.evaluate(_VALUES))


def steady_box(element: Locator) -> FloatRect:
    """Return where an element is, as soon as it stays there: the editor moves what it shows until all is loaded."""
    seen: list[FloatRect | None] = []

    def rests() -> bool:
        seen.append(element.bounding_box())
        element.page.wait_for_timeout(400)
        return len(seen) > 2 and seen[-1] == seen[-2] == seen[-3] and seen[-1] is not None

    wait_until(rests, what="the end of a move")
    assert seen[-1] is not None
    return seen[-1]


def highlighted(root: Page | Any) -> list[str]:
    """The words that the marks in this page or frame cover, in the order of the text."""
    found: list[str] = root.locator(".htx-highlight").evaluate_all("all => all.map(one => one.textContent)")
    return found


def answer(loop: SyncLoop, page: Page) -> str:
    """Submit the page; return the answer in Postgres. Without one, the error says what is there instead."""
    page.get_by_label("Submit current annotation").click()
    found: list[dict[str, Any]] = []

    def came() -> bool:
        loop.pull()
        found[:] = loop.sql("select label from answers")
        return len(found) == 1

    try:
        wait_until(came, what="the answer")
    except AssertionError as exc:
        raise AssertionError(f"{exc}\n{_instead(loop, page)}") from exc
    text: str = found[0]["label"]
    return text


def _instead(loop: SyncLoop, page: Page) -> str:
    """Return what Label Studio and Postgres hold of the task, and what the page shows."""
    tasks = loop.web.get("/api/tasks", params={"project": loop.project_id, "fields": "all"}).text
    refused = loop.sql("select reason from unreadable where until is null")
    shown = page.locator("body").inner_text()
    return f"refused by the pull: {refused}\nLabel Studio: {tasks}\nthe page at {page.url}:\n{shown}"
