"""Label Studio's own editor in a real browser: videos, time series, relations, and controls that depend on others.

Each prelabel arrives as something that a person sees and changes, and the answer in Postgres is what that person did.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from labelloop.reading.strict_json import dumps
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from sync.intake import taking
from tests.support.network.media_server import media
from tests.support.review.browser import a_browser
from tests.support.review.drawing import (
    LABELLED,
    LOST_MS,
    REGIONS,
    YAML,
    drag,
    mark,
    move,
    regions_of,
    steady_box,
    until,
)
from tests.support.review.editor import submit, submitted
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until

PATIENCE_MS = 60_000
VIDEO = """<View><TimelineLabels name="scene" toName="video"><Label value="run"/><Label value="rest"/></TimelineLabels>
<Labels name="thing" toName="video"><Label value="car"/><Label value="bus"/></Labels>
<Video name="video" value="$video" frameRate="10" height="200" timelineHeight="180"/>
<VideoRectangle name="box" toName="video"/></View>"""
VIDEO_SIZE = (160, 90)
FRAME_PX, NAMES_PX = 16, 150
"""Width of a frame on the timeline, and of the names before the first one."""
SERIES = """<View><TimeSeriesLabels name="label" toName="it"><Label value="peak"/><Label value="dip"/>
</TimeSeriesLabels><TimeSeries name="it" value="$it" valueType="json" timeColumn="t"><Channel column="v"/></TimeSeries>
</View>"""
TEXT = "Anna works at Acme in Rome."
RELATED = """<View><Labels name="ner" toName="text"><Label value="person"/><Label value="firm"/><Label value="place"/>
</Labels><Relations><Relation value="works for"/><Relation value="lives in"/></Relations>
<Text name="text" value="$text"/>
<Choices name="sure" toName="text" perRegion="true"><Choice value="certain"/><Choice value="doubtful"/></Choices>
<TextArea name="note" toName="text" perRegion="true" maxSubmissions="1"/></View>"""
DEPENDENT = """<View><Text name="text" value="$text"/>
<Choices name="kind" toName="text" choice="single-radio"><Choice value="complaint"/><Choice value="praise"/></Choices>
<View visibleWhen="choice-selected" whenTagName="kind" whenChoiceValue="complaint">
<Choices name="about" toName="text" choice="multiple"><Choice value="price"/><Choice value="quality"/></Choices>
<TextArea name="words" toName="text" maxSubmissions="1"/></View></View>"""


@pytest.fixture(scope="module")
def page(label_studio: LabelStudio) -> Iterator[Page]:
    """A page of a browser in which an annotator is logged in."""
    session = label_studio.sign_up("eve@controls.example.org")[1]
    with a_browser() as browser:
        context: BrowserContext = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies(
            [{"name": one.name, "value": str(one.value), "url": label_studio.url} for one in session.cookies.jar]
        )
        yield context.new_page()
        context.close()


@contextmanager
def loop_of(
    database: Database, label_studio: LabelStudio, xml: str, data: Mapping[str, Any], labels: Mapping[str, object]
) -> Iterator[SyncLoop]:
    """A loop whose pipeline gave these labels, by the key of the output; all outputs have the same data."""
    spec = parse("controls", YAML, xml)
    lines = [dumps({"key": key, "data": data, "label": label, "confidence": 0.4}) for key, label in labels.items()]
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        with database.transaction() as conn:
            taking.take(conn, spec, [(n, line.encode()) for n, line in enumerate(lines, start=1)])
        loop.push()
        yield loop


def opened(page: Page, loop: SyncLoop, key: str = "one") -> None:
    page.goto(f"{loop.settings.label_studio_url}/projects/{loop.project_id}/data?task={loop.task_of(key)['id']}")
    expect(page.get_by_label("Submit current annotation")).to_be_visible()


def answer(loop: SyncLoop, page: Page, key: str = "one") -> Any:
    """Submit the page; return the answer in Postgres, which differs from the prelabel."""
    with submitted(page):
        submit(page)
    loop.pull()
    [row] = loop.sql(
        "select a.label, f.approval, f.prelabel_kept from answers a join outputs o on o.id = a.output_id"
        " join feedback f on f.model_output_id = o.id where o.key = %(key)s",
        key=key,
    )
    assert (row["approval"], row["prelabel_kept"]) == (False, False)
    return json.loads(row["label"])


def test_people_move_boxes_and_scenes_of_a_video_and_draw_others(
    database: Database, label_studio: LabelStudio, page: Page
) -> None:
    prelabel = {
        "scene": [{"start": 5, "end": 15, "label": "run"}],
        "thing": [{"frames": [[1, 10, 10, 20, 30, 0], [21, 40, 10, 20, 30, 0]], "label": "car"}],
    }
    with media() as served:
        data = {"video": served.at("cors/a.webm")}
        with loop_of(database, label_studio, VIDEO, data, {"one": prelabel}) as loop:
            opened(page, loop)
            page.wait_for_function("document.querySelector('video')?.readyState > 1")
            wait_until(lambda: regions_of(page) == 2, what="the prelabel")
            scene = page.locator(".lsf-keypoints_timeline")
            expect(scene).to_have_attribute("data-start", "5")
            expect(scene).to_have_attribute("data-end", "15")
            canvas = steady_box(page.locator(".lsf-video-canvas canvas").last)
            left = canvas["x"] + (canvas["width"] - VIDEO_SIZE[0]) / 2
            top = canvas["y"] + (canvas["height"] - VIDEO_SIZE[1]) / 2

            def at(x: float, y: float) -> tuple[float, float]:
                """A place of the picture, in percent of it."""
                return left + VIDEO_SIZE[0] * x / 100, top + VIDEO_SIZE[1] * y / 100

            move(page, lambda: drag(page, at(20, 25), at(40, 55)))
            page.keyboard.press("Escape")
            page.keyboard.press("4")
            page.wait_for_function(LABELLED)
            until(page, lambda: drag(page, at(60, 60), at(90, 90)), REGIONS, "the second box", 3)
            page.keyboard.press("Escape")

            lane, timeline = steady_box(scene), steady_box(page.locator(".lsf-timeline-frames__filler"))

            def frame(number: int) -> float:
                return lane["x"] + NAMES_PX + FRAME_PX * (number - 0.5)

            y = lane["y"] + lane["height"] / 2
            move(page, lambda: drag(page, (frame(15), y), (frame(20), y)))
            expect(scene).to_have_attribute("data-end", "20")
            page.keyboard.press("Escape")
            page.keyboard.press("2")
            page.locator("[data-id=new]").wait_for()  # the timeline knows the label that the key selects
            y = timeline["y"] + timeline["height"] - 20  # below the lanes of the other marks
            until(page, lambda: drag(page, (frame(25), y), (frame(30), y)), REGIONS, "the second scene", 4)
            found = answer(loop, page)
    assert found["scene"] == [{"start": 5, "end": 20, "label": "run"}, {"start": 25, "end": 30, "label": "rest"}]
    boxes = {one["label"]: one["frames"] for one in found["thing"]}
    assert boxes["car"] == [pytest.approx([1, 30, 40, 20, 30, 0], abs=1), [21, 40, 10, 20, 30, 0]]
    assert boxes["bus"] == [pytest.approx([1, 60, 60, 30, 30, 0], abs=1)]


def test_people_move_a_segment_of_a_time_series_and_draw_another(
    database: Database, label_studio: LabelStudio, page: Page
) -> None:
    data = {"it": {"t": list(range(101)), "v": [n * n % 17 for n in range(101)]}}
    prelabel = [{"start": 4, "end": 8, "label": "peak"}]
    with loop_of(database, label_studio, SERIES, data, {"one": prelabel}) as loop:
        opened(page, loop)
        shown = steady_box(page.locator(".brushes .selection"))
        unit = shown["width"] / 4

        def at(time: float) -> tuple[float, float]:
            return shown["x"] + (time - 4) * unit, shown["y"] + shown["height"] / 2

        move(page, lambda: drag(page, at(8), at(10)))  # the right edge: the editor moves no segment as a whole
        page.keyboard.press("Escape")
        page.keyboard.press("2")
        page.wait_for_function(LABELLED)
        until(page, lambda: drag(page, at(14), at(20)), REGIONS, "the second segment", 2)
        found = answer(loop, page)
    assert sorted(found, key=lambda one: one["start"]) == [
        {"start": 4, "end": 10, "label": "peak"},
        {"start": 14, "end": 20, "label": "dip"},
    ]


def test_people_relate_regions_and_answer_about_each(database: Database, label_studio: LabelStudio, page: Page) -> None:
    anna, acme, rome = (
        {"start": TEXT.index(word), "end": TEXT.index(word) + 4, "label": label}
        for word, label in (("Anna", "person"), ("Acme", "firm"), ("Rome", "place"))
    )
    works = {"from": ["ner", anna], "to": ["ner", acme], "labels": ["works for"]}
    prelabel = {"ner": [{**anna, "with": {"sure": "certain", "note": "a name"}}, acme], "relations": [works]}
    with loop_of(database, label_studio, RELATED, {"text": TEXT}, {"one": prelabel}) as loop:
        opened(page, loop)
        expect(page.locator(".relations-overlay text")).to_have_text("works for")
        selected(page, "Anna")
        expect(page.get_by_label("certain")).to_be_checked()
        expect(page.get_by_text("a name").filter(visible=True).first).to_be_visible()
        page.get_by_label("doubtful").click()
        page.keyboard.press("Escape")

        selected(page, "Acme")
        note = page.get_by_role("textbox").filter(visible=True)
        note.fill("an employer")
        note.press("Enter")
        page.keyboard.press("Escape")

        mark(page, page.locator(".lsf-richtext__container"), "Rome", "3")
        selected(page, "Anna")
        page.keyboard.press("Alt+r")
        page.wait_for_function("Htx.annotationStore.selected.isLinkingMode")
        page.locator(".htx-highlight").filter(has_text="Rome").click()
        page.get_by_text("Relations", exact=True).first.click()
        expect(page.locator(".lsf-relations__item")).to_have_count(2)
        drawn = page.locator(".lsf-relations__item").last
        drawn.hover()
        drawn.get_by_label("Relation Labels").click()
        drawn.locator(".lsf-relation-meta button").click()
        page.get_by_test_id("select-option-label").filter(has_text="lives in").click()
        expect(page.locator(".relations-overlay text")).to_have_count(2)
        found = answer(loop, page)
    assert found == {
        "ner": [
            {**acme, "with": {"note": "an employer"}},
            rome,
            {**anna, "with": {"sure": "doubtful", "note": "a name"}},
        ],
        "relations": [{"from": ["ner", anna], "to": ["ner", rome], "labels": ["lives in"]}, works],
    }


def selected(page: Page, word: str) -> None:
    """Select the region of this word. The first click after a mark only ends the selection of its text."""
    about = page.locator(".lsf-detailed-region").filter(has_text=word)
    for _ in range(6):
        page.locator(".htx-highlight").filter(has_text=word).click()
        with suppress(AssertionError):
            expect(about).not_to_have_count(0, timeout=LOST_MS)
            return
    pytest.fail(f"{word} is not selected")


def test_a_control_that_a_choice_hides_has_no_answer_and_one_that_it_shows_has_one(
    database: Database, label_studio: LabelStudio, page: Page
) -> None:
    complaint = {"kind": "complaint", "about": ["price"], "words": "It is dear."}
    labels = {"hides": complaint, "shows": {"kind": "praise"}}
    with loop_of(database, label_studio, DEPENDENT, {"text": "Too dear"}, labels) as loop:
        opened(page, loop, "hides")
        expect(page.get_by_label("complaint")).to_be_checked()
        expect(page.get_by_label("price")).to_be_checked()
        page.get_by_label("praise").click()
        expect(page.get_by_label("price")).to_be_hidden()
        assert answer(loop, page, "hides") == {"kind": "praise"}

        opened(page, loop, "shows")
        expect(page.get_by_label("praise")).to_be_checked()
        expect(page.get_by_label("quality")).to_be_hidden()
        page.get_by_label("complaint").click()
        page.get_by_label("quality").click()
        page.get_by_role("textbox").filter(visible=True).fill("It broke.")
        page.keyboard.press("Enter")
        assert answer(loop, page, "shows") == {"kind": "complaint", "about": ["quality"], "words": "It broke."}
