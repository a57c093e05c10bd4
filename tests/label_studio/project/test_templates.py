"""The templates of `labelloop init` in the real Label Studio: their samples become tasks, and people answer them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from console.files.templates import SAMPLES, folder_of, names
from labelloop.spec.folder import load
from labelloop.store.database import Database
from sync.answering.exports import begin
from sync.intake import taking
from tests.support.review.drawing import steady_box
from tests.support.review.editor import first_task
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until


def submitted(loop: SyncLoop, template: str) -> int:
    """Submit the template's samples and push them; return how many people are asked about."""
    lines = (folder_of(template) / SAMPLES).read_bytes().splitlines()
    with loop.database.transaction() as conn:
        taken = taking.take(conn, loop.spec, enumerate(lines, start=1))
    loop.push()
    return sum(stored.state == "waiting" for stored in taken.outputs)


@pytest.mark.parametrize("template", names())
def test_label_studio_takes_the_form_and_the_samples(
    database: Database, label_studio: LabelStudio, template: str
) -> None:
    with sync_loop(database, label_studio.url, label_studio.token, of=load(folder_of(template))) as loop:
        asked = submitted(loop, template)
        assert asked > 0
        states = {row["state"]: row["n"] for row in loop.sql("select state, count(*) as n from outputs group by state")}
        assert states.get("in_review", 0) == asked
        assert "quarantined" not in states
    files = set(re.findall(r'"(/static/[^"]+)"', (folder_of(template) / SAMPLES).read_text(encoding="utf-8")))
    assert {httpx.get(label_studio.url + one).status_code for one in files} <= {200}


@contextmanager
def at_work(
    browser: Browser, database: Database, label_studio: LabelStudio, template: str
) -> Iterator[tuple[SyncLoop, Page]]:
    """A loop of the template with its samples, and the page of the first task that an annotator is served."""
    spec = load(folder_of(template)).model_copy(update={"holdout": 0.0})  # held-out answers are no examples
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        submitted(loop, template)
        with first_task(browser, loop, label_studio) as page:
            yield loop, page


def answered(loop: SyncLoop, page: Page) -> dict[str, Any]:
    """Submit the page; return the answer that comes back, with the key, the data and the annotation's result."""
    page.get_by_label("Submit current annotation").click()
    found: list[dict[str, Any]] = []

    def came() -> bool:
        loop.pull()
        found[:] = loop.sql(
            "select o.key, o.data, a.label, f.approval, f.comment, n.result from answers a"
            " join outputs o on o.id = a.output_id join feedback f on f.model_output_id = o.id"
            " join annotations n on n.output_id = o.id"
        )
        return len(found) == 1

    wait_until(came, what="the answer")
    return found[0]


def exported(loop: SyncLoop, name: str) -> list[Any]:
    return [json.loads(line) for line in b"".join(begin(loop.database, loop.spec, name).pieces).splitlines()]


def test_people_read_a_dialogue_and_its_answer_comes_back(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    with at_work(browser, database, label_studio, "dialogue") as (loop, page):
        expect(page.get_by_text("You are the assistant of a shop.").first).to_be_visible()
        for author in ("system", "user", "assistant"):
            expect(page.get_by_text(author, exact=True).first).to_be_visible()
        page.keyboard.press("3")
        expect(page.get_by_label("reject")).to_be_checked()
        assert answered(loop, page)["label"] == "reject"


def test_people_compare_two_texts_that_stand_side_by_side(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    with at_work(browser, database, label_studio, "pairwise") as (loop, page):
        left, right = (steady_box(page.locator(".labelloop-side").nth(side)) for side in (0, 1))
        assert left["y"] == right["y"]
        assert left["x"] + left["width"] <= right["x"]
        assert left["width"] == pytest.approx(right["width"], abs=1)
        expect(page.locator("input:checked")).to_have_count(0)  # the model's choice is not shown
        page.keyboard.press("2")
        expect(page.get_by_label("B is better")).to_be_checked()
        said = answered(loop, page)
        assert said["label"] == "b"
        data = said["data"]
        assert exported(loop, "dpo") == [{"prompt": data["prompt"], "chosen": data["b"], "rejected": data["a"]}]
        assert exported(loop, "sft") == [{"prompt": data["prompt"], "completion": data["b"]}]


def test_a_text_that_a_person_edits_becomes_an_example(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    with at_work(browser, database, label_studio, "text-review") as (loop, page):
        page.keyboard.press("2")
        expect(page.get_by_label("correct it")).to_be_checked()
        area = page.locator("textarea").filter(visible=True).first
        expect(area).to_have_value(re.compile("."))  # it begins with the text of the model
        area.fill("A better text.\nWith two lines.")
        said = answered(loop, page)
        assert (said["label"], said["approval"], said["comment"]) == ("correct", False, None)
        question, answer, better = said["data"]["question"], said["data"]["answer"], "A better text.\nWith two lines."
        assert exported(loop, "dpo") == [{"prompt": question, "chosen": better, "rejected": answer}]
        assert exported(loop, "sft") == [{"prompt": question, "completion": better}]


def test_people_judge_the_boxes_that_a_detector_drew(
    browser: Browser, database: Database, label_studio: LabelStudio
) -> None:
    with at_work(browser, database, label_studio, "boxes") as (loop, page):
        regions = page.get_by_text(re.compile("^(car|person|sign)$")).filter(visible=True)
        expect(regions.nth(3)).to_be_visible()  # three labels above the picture, and one line for each box
        page.keyboard.press("3")
        expect(page.get_by_label("a box is missing")).to_be_checked()
        said = answered(loop, page)
        assert (said["label"], said["approval"]) == ("missing", False)
        boxes = [region["value"] for region in said["result"] if region["from_name"] == "boxes"]
        sent = loop.sql("select result from outputs where key = %(key)s", key=said["key"])[0]["result"]
        assert boxes == [region["value"] for region in sent if region["from_name"] == "boxes"]
        assert loop.task_of(said["key"])["data"]["labelloop_why"].startswith("The model found ")
