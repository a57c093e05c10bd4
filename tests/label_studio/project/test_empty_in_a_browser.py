"""Label Studio's own editor in a real browser: where nothing is an answer it can be submitted, elsewhere it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import outputs as output_store
from tests.support.review.browser import a_browser
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop

PATIENCE_MS = 60_000
YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  holdout: 0.0
  audit: 0.0
  queue: {strategy: random, window: 50, audit: 0.0, holdout: 0.0}
"""
GENERATED = """
  actions: [{type: human_review, fields: [approval, correction, comment]}]
  labels: [cat, dog]
  show: {text: "$text"}
"""
SPANS = """<View><Labels name="label" toName="text"><Label value="person"/><Label value="place"/></Labels>
<Text name="text" value="$text"/></View>"""


@pytest.fixture(scope="module")
def at_work(label_studio: LabelStudio) -> Iterator[BrowserContext]:
    """A browser in which an annotator is logged in."""
    session = label_studio.sign_up("eve@empty.example.org")[1]
    with a_browser() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies(
            [{"name": one.name, "value": str(one.value), "url": label_studio.url} for one in session.cookies.jar]
        )
        yield context
        context.close()


def test_an_empty_answer_goes_through_where_it_says_that_there_is_none(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("names", YAML, SPANS)) as loop:
        submit(loop, "none", "[]")
        submit(loop, "kept", '[[0,4,"person"]]')
        submit(loop, "gone", '[[0,4,"person"]]')
        loop.push()
        page = at_work.new_page()
        opened(page, loop, "none")
        assert posted(page) == []

        opened(page, loop, "kept")
        page.locator(".htx-highlight").first.wait_for()
        assert [region["origin"] for region in posted(page)] == ["prediction"]

        opened(page, loop, "gone")
        removed(page)
        assert posted(page) == []

        loop.pull()
        said = loop.sql(
            "select o.key, f.label, f.approval, f.prelabel_kept from feedback f"
            " join outputs o on o.id = f.model_output_id order by o.key"
        )
        assert [tuple(row.values()) for row in said] == [
            ("gone", "[]", False, False),
            ("kept", '[[0,4,"person"]]', True, True),
            ("none", "[]", True, None),
        ]
        assert loop.states() == {"answered": 3}


def test_the_editor_stops_an_empty_answer_where_one_choice_is_asked_for(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("verdicts", YAML + GENERATED)) as loop:
        submit(loop, "none", None)
        loop.push()
        page = at_work.new_page()
        opened(page, loop, "none")
        expect(page.get_by_role("button", name="Submit")).to_be_disabled()
        page.keyboard.press("Control+Enter")
        page.wait_for_timeout(1_000)
        assert loop.task_of("none")["annotations"] == []

        page.get_by_text("approve").click()
        expect(page.get_by_role("button", name="Submit")).to_be_enabled()


def submit(loop: SyncLoop, key: str, label: str | None) -> None:
    value: dict[str, Any] = {"key": key, "data": {"text": "Anna went to Rome"}, "confidence": 0.5}
    output = Output(**value, label=label)
    with loop.database.transaction() as conn:
        output_store.insert(conn, loop.spec.name, [output_store.Row.of(output, lanes.place(output, loop.spec))])


def opened(page: Page, loop: SyncLoop, key: str) -> None:
    page.goto(f"{loop.settings.label_studio_url}/projects/{loop.project_id}/data?task={loop.task_of(key)['id']}")
    page.get_by_role("button", name="Submit").wait_for()
    page.get_by_text("went to").first.wait_for()


def removed(page: Page) -> None:
    """The one region that is marked, by a key; tried again where a busy editor has missed the click or the key."""
    region = page.locator(".htx-highlight")
    for _ in range(6):
        region.first.click()
        page.keyboard.press("Backspace")
        with suppress(AssertionError):
            expect(region).to_have_count(0, timeout=10_000)
            return
    pytest.fail("the region stays")


def posted(page: Page) -> list[Any]:
    """Return the result that the editor sends when Submit is pressed."""

    def is_ours(response: Response) -> bool:
        return response.request.method == "POST" and "/annotations" in response.url

    with page.expect_response(is_ours) as response:
        page.get_by_role("button", name="Submit").click()
    assert response.value.status == 201
    return list(response.value.json()["result"])
