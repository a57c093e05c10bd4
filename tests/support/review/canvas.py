"""The picture of a task in Label Studio's editor, and a mouse that draws on it. Places are in percent of it."""

from __future__ import annotations

import base64
import io
from contextlib import suppress
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Response, TimeoutError

from tests.support.review.drawing import steady_box
from tests.support.sync_loop import SyncLoop

Place = tuple[float, float]
_CORNERS = """wanted => new Set(Htx.annotationStore.selected.regions.flatMap(
  region => (region.points ?? region.vertices ?? []).map(one => `${one.x},${one.y}`)
)).size === wanted"""
"""Whether corners are at so many places: the first click on a vector makes two vertices at one place."""


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

    def click(self, *places: Place) -> None:
        for place in places:
            self.page.mouse.move(*self.at(place))
            self.page.mouse.down()
            self.page.mouse.up()
            self.page.wait_for_timeout(400)

    def corners(self, *places: Place) -> None:
        """Click until each is a corner of the region: at some moments the editor loses a click, as a person sees."""
        for i, place in enumerate(places, 1):
            for _ in range(5):
                self.click(place)
                with suppress(TimeoutError):
                    self.page.wait_for_function(_CORNERS, arg=i, timeout=3_000)
                    break
            else:
                raise AssertionError(f"no corner at {place}, after five clicks")

    def posted(self) -> list[Any]:
        """Return the result that the editor sends when Submit is pressed."""

        def is_ours(response: Response) -> bool:
            return response.request.method == "POST" and "/annotations" in response.url

        with self.page.expect_response(is_ours) as response:
            self.page.get_by_role("button", name="Submit").click()
        assert response.value.status == 201
        return list(response.value.json()["result"])


def rotated(canvas: Canvas) -> None:
    canvas.page.keyboard.press("1")
    canvas.drag((20, 30), (60, 70))
    canvas.page.keyboard.press("Escape")
    canvas.click((40, 50))
    x, y = canvas.at((40, 30))
    canvas.page.mouse.move(x, y - 50, steps=3)  # the handle that turns a box
    canvas.page.mouse.down()
    canvas.page.mouse.move(x + 60, y - 30, steps=10)
    canvas.page.mouse.move(x + 100, y + 10, steps=10)
    canvas.page.mouse.up()
    canvas.page.wait_for_timeout(500)


def stroke(canvas: Canvas) -> None:
    canvas.page.keyboard.press("1")
    canvas.drag((20, 20), (60, 60), (30, 70))


def corners(canvas: Canvas) -> None:
    canvas.page.keyboard.press("2")
    canvas.corners((20, 20), (60, 25), (50, 70), (25, 60))
    canvas.click((20, 20))


def ring(canvas: Canvas) -> None:
    canvas.page.keyboard.press("1")
    canvas.drag((50, 50), (65, 70))


def spot(canvas: Canvas) -> None:
    canvas.page.keyboard.press("1")
    canvas.click((33, 44))


def way(canvas: Canvas) -> None:
    canvas.page.keyboard.press("1")
    canvas.corners((20, 20), (50, 30), (70, 70))
    canvas.page.keyboard.press("Escape")
