"""Label Studio's own editor in a real browser: a transcription and a comparison are shown, changed and submitted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from backend.report.corrections import corrections_of
from labelloop.outputs.fitting import check
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.reading.texts import text_of
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
HEARD = """<View><Text name="source" value="$text"/>
<TextArea name="heard" toName="source" rows="4" editable="true" maxSubmissions="1" required="true"/></View>"""
PAIR = (
    """<View><Pairwise name="better" toName="a,b"/><Text name="a" value="$one"/><Text name="b" value="$two"/></View>"""
)
RANK = """<View><List name="answers" value="$items" title="Answers"/><Ranker name="rank" toName="answers"/></View>"""
ITEMS = [{"id": name, "title": f"Title {name}", "body": f"Body {name}"} for name in ("a", "b", "c")]


@pytest.fixture(scope="module")
def page(label_studio: LabelStudio) -> Iterator[Page]:
    """A page of a browser in which an annotator is logged in."""
    session = label_studio.sign_up("ada@texts.example.org")[1]
    with a_browser() as browser:
        context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies(
            [{"name": one.name, "value": str(one.value), "url": label_studio.url} for one in session.cookies.jar]
        )
        yield context.new_page()
        context.close()


def submit(loop: SyncLoop, key: str, label: Any, **data: Any) -> None:
    output = check(Output(key=key, data=data, confidence=0.5, label=label), loop.spec.config, loop.spec.labels)
    with loop.database.transaction() as conn:
        output_store.insert(conn, loop.spec.name, [output_store.Row.of(output, lanes.place(output, loop.spec))])


def opened(page: Page, loop: SyncLoop, key: str) -> None:
    page.goto(f"{loop.settings.label_studio_url}/projects/{loop.project_id}/data?task={loop.task_of(key)['id']}")
    page.get_by_role("button", name="Submit").wait_for()


def chosen(page: Page, side: str) -> None:
    """Wait for this side of a Pairwise to be chosen: the editor reads and shows the choice one tick after the texts."""
    page.wait_for_function(
        "side => [...Htx.annotationStore.selected.names.values()].some(one => one.selected === side)", arg=side
    )


def posted(page: Page) -> None:
    def is_ours(response: Response) -> bool:
        return response.request.method == "POST" and "/annotations" in response.url

    with page.expect_response(is_ours) as response:
        page.get_by_role("button", name="Submit").click()
    assert response.value.status == 201


def answers(loop: SyncLoop) -> list[tuple[Any, ...]]:
    loop.pull()
    rows = loop.sql(
        "select o.key, a.label, f.approval, f.prelabel_kept from answers a join outputs o on o.id = a.output_id"
        " join feedback f on f.model_output_id = o.id order by o.key"
    )
    return [tuple(row.values()) for row in rows]


def test_a_transcription_is_shown_changed_and_stored(database: Database, label_studio: LabelStudio, page: Page) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("heard", YAML, HEARD)) as loop:
        assert loop.spec.learner.name == "none"
        submit(loop, "changed", "he siad 😀 hello", text="a sound")
        submit(loop, "kept", "שלום עולם", text="another sound")
        loop.push()

        opened(page, loop, "changed")
        page.get_by_text("he siad 😀 hello").first.wait_for()
        page.get_by_label("Edit Region").first.click()
        area = page.locator("textarea").filter(visible=True).last
        area.fill("he said 😀 hello\nשלום")
        page.mouse.click(5, 5)
        page.get_by_text("he said 😀 hello").first.wait_for()
        posted(page)

        opened(page, loop, "kept")
        page.get_by_text("שלום עולם").first.wait_for()
        posted(page)

        assert answers(loop) == [
            ("changed", "he said 😀 hello\nשלום", False, False),
            ("kept", "שלום עולם", True, True),
        ]
        with database.transaction() as conn:
            found = corrections_of(conn, loop.spec.name, datetime.now(UTC))
        assert found["unchanged"] == 1
        assert [(row["shown"], row["given"]) for row in found["words"]] == [("", "שלום"), ("siad", "said")]


@pytest.mark.timeout(600)  # nine pages, each of which takes 20 s on a page that is slowed six times
def test_a_number_in_place_of_a_text_is_read_as_people_see_it(
    database: Database, label_studio: LabelStudio, page: Page
) -> None:
    values = (42, 5.0, 0.1 + 0.2, 1e-5, 3e-7, -7, 0, True, False)
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("numbers", YAML, HEARD)) as loop:
        for key, value in enumerate(values):
            submit(loop, str(key), "a text", text=value)
        loop.push()
        for key, value in enumerate(values):
            opened(page, loop, str(key))
            expect(page.locator("[class*=richtext]").last).to_have_text(str(text_of(value)))


def test_a_side_is_shown_changed_and_stored(database: Database, label_studio: LabelStudio, page: Page) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("pairs", YAML, PAIR)) as loop:
        assert loop.spec.labels == ("left", "right")
        for key in ("changed", "kept"):
            submit(loop, key, "left", one=f"first of {key}", two=f"second of {key}")
        loop.push()

        opened(page, loop, "changed")
        chosen(page, "left")
        page.locator("[class*=richtext]").filter(has_text="second of changed").last.click()
        chosen(page, "right")
        posted(page)

        opened(page, loop, "kept")
        page.locator("[class*=richtext]").filter(has_text="first of kept").last.wait_for()
        chosen(page, "left")
        posted(page)

        # The editor does not mark the change of a Pairwise in `origin`.
        assert answers(loop) == [("changed", "right", False, False), ("kept", "left", True, True)]


def test_an_order_is_shown_changed_and_stored(database: Database, label_studio: LabelStudio, page: Page) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=parse("ranks", YAML, RANK)) as loop:
        for key in ("changed", "kept"):
            submit(loop, key, ["c", "a", "b"], items=ITEMS, text=key)
        loop.push()

        opened(page, loop, "changed")
        first = page.locator(".htx-ranker-item").first
        first.get_by_text("Title c").wait_for()
        first.focus()
        for key, said in (("Space", "lifted"), ("ArrowDown", "moved"), ("Space", "dropped")):
            page.keyboard.press(key)
            expect(page.locator("[id^=rbd-announcement]")).to_contain_text(said)  # the list moves the item in steps
        first.get_by_text("Title a").wait_for()
        posted(page)

        opened(page, loop, "kept")
        page.locator(".htx-ranker-item").first.get_by_text("Title c").wait_for()
        posted(page)

        assert answers(loop) == [("changed", '["a","c","b"]', False, False), ("kept", '["c","a","b"]', True, True)]
