"""Label Studio's own editor in a real browser, as the button Label All Tasks opens it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, Response, StorageState, expect

from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop

SUBMIT = "Control+Enter"
_LOGINS: dict[str, StorageState] = {}
"""By server: what a browser of the administrator keeps after the login."""


@contextmanager
def labeling(browser: Browser, loop: SyncLoop, label_studio: LabelStudio) -> Iterator[Page]:
    """The label stream of the loop's project, with its first task."""
    with first_task(browser, loop, label_studio) as page:
        yield page


def first_task(browser: Browser, loop: SyncLoop, label_studio: LabelStudio) -> Page:
    """Open the label stream with its first task, as the administrator."""
    page = logged_in(browser, label_studio)
    page.goto(f"{label_studio.url}/projects/{loop.project_id}/data")
    page.get_by_text("Label All Tasks").click()
    expect(page.get_by_label("Submit current annotation")).to_be_visible()
    return page


def logged_in(browser: Browser, label_studio: LabelStudio) -> Page:
    """An empty page of the administrator, who logs in once a process.

    A login costs the check of a password, and the page of all projects.
    """
    login = _LOGINS.get(label_studio.url)
    page = browser.new_page(viewport={"width": 1440, "height": 900}, storage_state=login)
    page.set_default_timeout(90_000)
    if login is None:
        page.goto(f"{label_studio.url}/user/login/")
        page.fill("input[name=email]", label_studio.email)
        page.fill("input[name=password]", label_studio.password)
        page.press("input[name=password]", "Enter")
        page.wait_for_url(lambda url: "login" not in url)
        _LOGINS[label_studio.url] = page.context.storage_state()
    return page


def submit(page: Page) -> None:
    page.get_by_label("Submit current annotation").click()


@contextmanager
def submitted(page: Page) -> Iterator[list[Any]]:
    """Yield a list that holds the regions of the submitted result after the `with`, in which somebody submits."""

    def is_ours(response: Response) -> bool:
        return response.request.method == "POST" and "/annotations" in response.url

    result = list[Any]()
    with page.expect_response(is_ours) as response:
        yield result
    assert response.value.status == 201
    result += response.value.json()["result"]
