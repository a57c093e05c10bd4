"""The picture of a task in Label Studio's editor, and a mouse that draws on it. Places are in percent of it."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Response

from tests.support.review.drawing import LABELLED, move, steady_box, until
from tests.support.sync_loop import SyncLoop

Place = tuple[float, float]
_CORNERS = """wanted => new Set(Htx.annotationStore.selected.regions.flatMap(
  region => (region.points ?? region.vertices ?? []).map(one => `${one.x},${one.y}`)
)).size === wanted"""
"""Whether corners are at so many places: the first click on a vector makes two vertices at one place."""
_DRAWN = "() => Htx.annotationStore.selected.regions.length === 1 && !Htx.annotationStore.selected.isDrawing"
_SELECTED = "() => Htx.annotationStore.selected.selectionSize === 1"
_TURNED = "() => Htx.annotationStore.selected.regions[0].rotation > 0"


def picture(width: int, height: int) -> str:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (230, 230, 230)).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


class Canvas:
    """The open task."""

    def __init__(self, page: Page, loop: SyncLoop, key: str, size: tuple[int, int]) -> None:
        self.page = page
        page.goto(f"{loop.settings.label_studio_url}/projects/{loop.project_id}/data?task={loop.task_of(key)['id']}")
        page.get_by_role("button", name="Submit").wait_for()
        image = page.locator(".lsf-image img").first
        image.wait_for()
        page.wait_for_function("() => document.querySelector('.lsf-image img')?.naturalWidth > 1")
        page.locator(".konvajs-content canvas").first.wait_for()
        box = steady_box(image)  # the editor fits the picture into the page after it has loaded
        self.left, self.top, self.width, self.height = box["x"], box["y"], box["width"], box["height"]
        assert self.width / self.height == pytest.approx(size[0] / size[1], rel=0.02)

    def at(self, place: Place) -> Place:
        return self.left + self.width * place[0] / 100, self.top + self.height * place[1] / 100

    def drag(self, *places: Place) -> None:
        self.page.mouse.move(*self.at(places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.at(place), steps=12)
        self.page.mouse.up()
        self.page.wait_for_timeout(500)

    def click(self, place: Place) -> None:
        self.page.mouse.move(*self.at(place))
        self.page.mouse.down()
        self.page.mouse.up()
        self.page.wait_for_timeout(400)

    def until(self, act: Callable[[], object], state: str, what: str, arg: object = None) -> None:
        until(self.page, act, state, what, arg)

    def label(self, key: str) -> None:
        """Choose the label of this key for the next region."""
        self.until(lambda: self.page.keyboard.press(key), LABELLED, f"the label of {key}")

    def draw(self, *places: Place) -> None:
        """Drag until there is a region."""
        self.until(lambda: self.drag(*places), _DRAWN, "a region")

    def corners(self, *places: Place) -> None:
        """Click until each is a corner of the region."""
        for i, place in enumerate(places, 1):
            self.until(partial(self.click, place), _CORNERS, f"a corner at {place}", i)

    def select(self, place: Place) -> None:
        """Click on the only region until it is selected."""
        self.until(lambda: self.click(place), _SELECTED, "the selection")

    def move(self, *places: Place) -> None:
        """Drag the region until it has another place or form."""
        move(self.page, lambda: self.drag(*places))

    def posted(self) -> list[Any]:
        """Return the result that the editor sends when Submit is pressed."""

        def is_ours(response: Response) -> bool:
            return response.request.method == "POST" and "/annotations" in response.url

        with self.page.expect_response(is_ours) as response:
            self.page.get_by_role("button", name="Submit").click()
        assert response.value.status == 201
        return list(response.value.json()["result"])


def rotated(canvas: Canvas) -> None:
    canvas.label("1")
    canvas.draw((20, 30), (60, 70))
    canvas.page.keyboard.press("Escape")
    canvas.select((40, 50))
    x, y = canvas.at((40, 30))

    def turn() -> None:
        canvas.page.mouse.move(x, y - 50, steps=3)  # the handle that turns a box
        canvas.page.mouse.down()
        canvas.page.mouse.move(x + 60, y - 30, steps=10)
        canvas.page.mouse.move(x + 100, y + 10, steps=10)
        canvas.page.mouse.up()

    canvas.until(turn, _TURNED, "the turn")


def stroke(canvas: Canvas) -> None:
    canvas.label("1")
    canvas.draw((20, 20), (60, 60), (30, 70))


def corners(canvas: Canvas) -> None:
    canvas.label("2")
    canvas.corners((20, 20), (60, 25), (50, 70), (25, 60))
    canvas.until(lambda: canvas.click((20, 20)), _DRAWN, "the end of the polygon")


def ring(canvas: Canvas) -> None:
    canvas.label("1")
    canvas.draw((50, 50), (65, 70))


def spot(canvas: Canvas) -> None:
    canvas.label("1")
    canvas.until(lambda: canvas.click((33, 44)), _DRAWN, "the point")


def way(canvas: Canvas) -> None:
    canvas.label("1")
    canvas.corners((20, 20), (50, 30), (70, 70))
    canvas.until(lambda: canvas.page.keyboard.press("Escape"), _DRAWN, "the end of the vector")
