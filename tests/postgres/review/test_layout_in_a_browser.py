"""The review pages on a laptop and on a phone, in a real browser."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import pytest
from playwright.sync_api import ViewportSize

from labelloop.store.tables import descriptions
from labelloop.versions.descriptions import Description
from tests.support.review.desk import LAPTOP, PHONE, Desk, check, check_tables_are_whole, check_width, with_labels


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
            if path.startswith(("loops", "runs")):
                check_tables_are_whole(page)


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
