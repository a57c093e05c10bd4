"""Marks that a pipeline gave and that people make, in the real editor: the right characters and seconds in Postgres."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from labelloop.store.database import Database
from tests.support.review.drawing import (
    a_sound,
    answer,
    drag,
    highlighted,
    mark,
    move,
    regions_of,
    select_label,
    steady_box,
    task_of,
)
from tests.support.servers import LabelStudio
from tests.support.sync_loop import wait_until

LABELS = '<Label value="person"/><Label value="place"/>'
TEXT = "😀 Ana liebt 👩‍👩‍👧 und\nשלום עולם, مرحبا cafe\u0301 Ende"
"""Emoji of one and of five characters, two scripts from right to left, and a letter with an accent of its own."""
TALK = [{"author": "Ana", "text": "Hello 😀 there"}, {"author": "Bob", "text": "שלום 👍🏽 עולם ok"}]


def place(text: str, words: str) -> dict[str, int]:
    start = text.index(words)
    return {"start": start, "end": start + len(words)}


def test_words_of_a_text_stay_the_same_words(browser: Browser, database: Database, label_studio: LabelStudio) -> None:
    xml = f'<View><Labels name="label" toName="text">{LABELS}</Labels><Text name="text" value="$text"/></View>'
    guess = place(TEXT, "עולם")
    label = [[guess["start"], guess["end"], "place"]]
    with task_of(browser, database, label_studio, xml, {"text": TEXT}, label) as (loop, page):
        expect(page.locator(".htx-highlight")).to_have_count(1)
        assert highlighted(page) == ["עולם"]
        root = page.locator(".lsf-richtext__container")
        for words in ("Ana", "👩‍👩‍👧 und", "cafe\u0301"):
            mark(page, root, words)
        spans = json.loads(answer(loop, page))
    assert [TEXT[start:end] for start, end, _ in spans] == ["Ana", "👩‍👩‍👧 und", "עולם", "cafe\u0301"]
    assert [label for *_, label in spans] == ["person", "person", "place", "person"]


def test_words_of_a_page_stay_the_same_words(browser: Browser, database: Database, label_studio: LabelStudio) -> None:
    html = "<div><p>Hi <b>😀 Ana</b> and</p>\n<p>שלום עולם<br>next مرحبا line</p></div>"
    text = "Hi 😀 Ana and\nשלום עולם\nnext مرحبا line"
    xml = (
        f'<View><HyperTextLabels name="label" toName="it">{LABELS}</HyperTextLabels>'
        '<HyperText name="it" value="$it"/></View>'
    )
    label = [{**place(text, "Ana an"), "label": "person"}, {**place(text, "עולם"), "label": "place"}]
    with task_of(browser, database, label_studio, xml, {"it": html}, label) as (loop, page):
        frame = page.frame_locator("iframe")
        expect(frame.locator(".htx-highlight")).to_have_count(3)  # one of them goes on after the end of a tag
        assert highlighted(frame) == ["Ana", " an", "עולם"]
        mark(page, frame.locator("body"), "مرحبا")
        marks = json.loads(answer(loop, page))
    assert {text[one["start"] : one["end"]]: one["label"] for one in marks} == {
        "Ana an": "person",
        "עולם": "place",
        "مرحبا": "person",
    }


def test_words_of_a_dialogue_stay_the_same_words(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    xml = (
        f'<View><ParagraphLabels name="label" toName="it">{LABELS}</ParagraphLabels>'
        '<Paragraphs name="it" value="$it" layout="dialogue"/></View>'
    )
    guess = place(TALK[0]["text"], "there")
    label = [{"start": [0, guess["start"]], "end": [0, guess["end"]], "label": "place"}]
    with task_of(browser, database, label_studio, xml, {"it": TALK}, label) as (loop, page):
        expect(page.locator(".htx-highlight")).to_have_count(1)
        assert highlighted(page) == ["there"]
        mark(page, page.locator('[data-testid="phrase:1"]'), "👍🏽 עולם")
        marks = json.loads(answer(loop, page))
    found = {TALK[one["start"][0]]["text"][one["start"][1] : one["end"][1]]: one["label"] for one in marks}
    assert found == {"there": "place", "👍🏽 עולם": "person"}


def test_people_move_a_segment_of_a_sound_and_draw_another(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    xml = (
        '<View><Labels name="label" toName="audio"><Label value="speech"/><Label value="noise"/></Labels>'
        '<Audio name="audio" value="$audio"/></View>'
    )
    label = [{"start": 0.25, "end": 0.5, "label": "noise"}]
    with a_sound() as address, task_of(browser, database, label_studio, xml, {"audio": address}, label) as (loop, page):
        page.wait_for_function("[...document.querySelectorAll('input')].some(one => one.value === '00:00:02:000')")
        box = steady_box(page.locator("canvas").first)
        wait_until(lambda: regions_of(page) == 1, what="the prelabel")

        def at(seconds: float) -> tuple[float, float]:
            return box["x"] + box["width"] * seconds / 2, box["y"] + box["height"] * 0.7

        move(page, lambda: drag(page, at(0.375), at(0.625)))
        select_label(page, "1", "speech")
        drag(page, at(1), at(1.5))
        wait_until(lambda: regions_of(page) == 2, what="the segment")
        moved, drawn = _by_label(answer(loop, page))
    assert moved == {"start": pytest.approx(0.5, abs=0.01), "end": pytest.approx(0.75, abs=0.01), "label": "noise"}
    assert drawn == {"start": pytest.approx(1, abs=0.01), "end": pytest.approx(1.5, abs=0.01), "label": "speech"}


def _by_label(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)
    return sorted(found, key=lambda one: str(one["label"]))
