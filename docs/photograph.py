"""A photograph of the form of a loop, as an annotator sees its first task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page

from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Database
from labelloop.store.tables import loops, projects
from sync.intake import taking

PICTURES = Path(__file__).parent / "pictures"
_HEIGHT = 430
"""Height in pixels of the picture of a form that does not show the reason for a task."""


def photograph(page: Page, settings: Settings, spec: LoopSpec, lines: Sequence[bytes]) -> None:
    """Submit these outputs and photograph the first task of the loop, down to the reason below its form.

    The first region is selected, because the questions about a region are shown then.
    """
    with Database(settings.database_url) as database:
        with database.transaction() as conn:
            loops.register(conn, spec)
            taking.take(conn, spec, enumerate(lines, start=1))
        project = _pushed(database, spec.name)
    page.goto(f"{settings.label_studio_url}/projects/{project}/data")
    page.get_by_role("button", name="Label All Tasks").click()
    page.get_by_label("Submit current annotation").wait_for()
    page.wait_for_timeout(6000)
    if (region := page.locator(".lsf-tree__node").first).is_visible():
        region.click()
        page.wait_for_timeout(1500)
    why = page.locator(".labelloop-why")
    place = why.bounding_box() if why.count() else None
    height = _HEIGHT if place is None else min(place["y"] + 48, 800)
    page.screenshot(path=PICTURES / f"{spec.name}.png", clip={"x": 0, "y": 0, "width": 1280, "height": height})


def _pushed(database: Database, loop: str) -> int:
    """Wait until the worker has pushed all tasks, and return the id of the project."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with database.transaction() as conn:
            project = projects.get(conn, loop)
            states = {row["state"] for row in conn.execute("select state from outputs where loop = %s", (loop,))}
        if project is not None and "in_review" in states and not states & {"waiting", "pushing"}:
            return project.id
        time.sleep(1)
    raise TimeoutError(f"the outputs of loop {loop!r} are not in Label Studio after two minutes")
