"""Label Studio's own editor in a real browser: what the look calls unreadable is an error there, and only that."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from playwright.sync_api import BrowserContext, Page

from labelloop.labeling.media import media_fields
from labelloop.outputs.output import Output
from labelloop.pictures.media.look import Looker
from labelloop.pictures.media.verdict import Level
from labelloop.queue import lanes
from labelloop.spec.fetching import Private
from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import outputs as output_store
from sync.media.hold import look_at_loop
from sync.media.watching import look_again
from tests.support.network.media_server import Media, media
from tests.support.review.browser import a_browser
from tests.support.servers import LabelStudio
from tests.support.sync_loop import SyncLoop, sync_loop, wait_until

PATIENCE_MS = 60_000
YAML = """feedback_loop:
  trigger: "model_confidence < 0.8"
  labels: [cat, dog]
  holdout: 0.0
  audit: 0.0
  learner: none
  queue: {strategy: random, window: 50, audit: 0.0, holdout: 0.0}
"""
FORM = """<View>{}<Choices name="label" toName="o0" choice="single-radio"><Choice value="cat"/><Choice value="dog"/>
</Choices></View>"""
TAGS = {
    "Image": '<Image name="o{0}" value="$m{0}"/>',
    "Audio": '<Audio name="o{0}" value="$m{0}"/>',
    "Video": '<Video name="o{0}" value="$m{0}"/>',
    "TimeSeries": '<TimeSeries name="o{0}" valueType="url" value="$m{0}" timeColumn="time" sep=",">'
    '<Channel column="value"/></TimeSeries>',
    "HyperText": '<HyperText name="o{0}" valueType="url" value="$m{0}"/>',
    "Paragraphs": '<Paragraphs name="o{0}" valueType="url" value="$m{0}" layout="dialogue"/>',
}
ERRORS = ("There was an issue loading URL", "Error while loading audio", "Problems with parsing CSV")
ERRORS_IN_PLACE = ("Image", "Audio")
"""Tags whose error stands where the media would be. The error of any other tag hides the whole form."""
_TEXT_SHOWN = (
    "[document, ...[...document.querySelectorAll('iframe')].map(e => e.contentDocument)]"
    ".filter(d => d?.body?.innerText?.includes({!r})).length"
)
SHOWN = {
    "Image": "[...document.querySelectorAll('img[src^=\"blob:\"]')].filter(e => e.naturalWidth > 0).length",
    "Audio": "[...document.querySelectorAll('audio')].filter(e => e.readyState > 0).length",
    "TimeSeries": "document.querySelectorAll('.htx-timeseries-channel svg').length",
    "HyperText": _TEXT_SHOWN.format("A page that people"),
    "Paragraphs": _TEXT_SHOWN.format("Good evening"),
}
"""Number of the media that the page shows."""
Case = tuple[str, str]
CASES: list[Case] = [
    ("Image", "cors/a.png"),
    ("Image", "echo/a.png"),
    ("Image", "cors/a.bin"),
    ("Image", "plain/a.png"),
    ("Image", "wrongorigin/a.png"),
    ("Image", "cors+404/a.png"),
    ("Image", "cors+html/a.png"),
    ("Image", "cors+login/a.png"),
    ("Image", "cors/a.tiff"),
    ("Image", "cors/a.empty"),
    ("Image", "cors+hop/plain.png"),
    ("Image", "plain+hop/cors.png"),
    ("Audio", "cors/a.wav"),
    ("Audio", "plain/a.wav"),
    ("Audio", "cors/a.aiff"),
    ("Audio", "cors+html/a.wav"),
    ("TimeSeries", "cors/a.csv"),
    ("TimeSeries", "plain/a.csv"),
    ("TimeSeries", "cors+html/a.csv"),
    ("HyperText", "cors/a.html"),
    ("HyperText", "plain/a.html"),
    ("Paragraphs", "cors/a.json"),
    ("Paragraphs", "plain/a.json"),
]


@pytest.fixture(scope="module")
def at_work(label_studio: LabelStudio) -> Iterator[BrowserContext]:
    """A browser in which an annotator is logged in."""
    session = label_studio.sign_up("eve@media.example.org")[1]
    with a_browser() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE_MS)
        context.add_cookies(
            [{"name": one.name, "value": str(one.value), "url": label_studio.url} for one in session.cookies.jar]
        )
        yield context
        context.close()


@pytest.fixture
def served() -> Iterator[Media]:
    with media() as found, media() as other:
        found.redirect_to = f"{other.url}/plain"
        yield found


def test_the_look_and_the_editor_agree(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext, served: Media
) -> None:
    """One page shows all that the look calls readable; two have an error for each address that it calls unreadable."""
    looker = Looker(Private.read("127.0.0.0/8"), label_studio.url)
    readable, in_place, hiding = list[Case](), list[Case](), list[Case]()
    for tag, path in CASES:
        (field,) = media_fields(form_of([tag]))
        unreadable = looker.look(field, served.at(path)).level is Level.UNREADABLE
        (readable if not unreadable else in_place if tag in ERRORS_IN_PLACE else hiding).append((tag, path))
    looker.close()
    page = at_work.new_page()
    for name, cases in (("readable", readable), ("in-place", in_place), ("hiding", hiding)):
        tags = [tag for tag, _ in cases]
        addresses = [served.at(path) for _, path in cases]
        spec = parse(name, YAML, form_of(tags))
        with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
            submit(loop, {"all": addresses})
            loop.push()
            opened(page, loop, "all")
            fine = name == "readable"
            comes_to(page, {tag: tags.count(tag) for tag in tags} if fine else {}, set() if fine else set(addresses))


def test_nobody_meets_a_blank_page_after_the_first_look(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext, served: Media
) -> None:
    spec = parse("photos", YAML, form_of(["Image"]))
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        settings = replace(loop.settings, fetch_private="127.0.0.0/8")
        submit(loop, {"fine": [served.at("cors/a.png")], "blank": [served.at("plain/b.png")]})
        assert look_at_loop(database, settings, spec, threading.Event()).held == 1
        loop.push()
        assert loop.states() == {"in_review": 1, "quarantined": 1}
        assert [task["data"]["labelloop_key"] for task in loop.tasks()] == ["fine"]
        page = at_work.new_page()
        assert is_shown(page, loop, "fine", "Image")

        served.mended = True
        assert look_again(database, settings, spec).released == 1
        loop.push()
        assert loop.states() == {"in_review": 2}
        assert is_shown(page, loop, "blank", "Image")


def test_a_video_of_a_format_that_the_editor_refuses_is_never_asked_for(
    database: Database, label_studio: LabelStudio, at_work: BrowserContext, served: Media
) -> None:
    """The blank page is real: no error is written in it, and no request leaves the browser."""
    form = form_of(["Video"])
    spec = parse("films", YAML, form)
    with sync_loop(database, label_studio.url, label_studio.token, of=spec) as loop:
        submit(loop, {"avi": [served.at("cors/a.avi")], "mp4": [served.at("cors/a.mp4")]})
        loop.push()
        page = at_work.new_page()
        opened(page, loop, "mp4")
        wait_until(lambda: asked_for(served, "a.mp4"), what="a request for the video")
        opened(page, loop, "avi")
        page.wait_for_timeout(2_000)
        assert not asked_for(served, "a.avi")
        assert not any(error in page.inner_text("body") for error in ERRORS)
    (field,) = media_fields(form)
    looker = Looker(Private.read("127.0.0.0/8"), label_studio.url)
    assert looker.look(field, served.at("cors/a.avi")).level is Level.UNREADABLE
    looker.close()


def asked_for(served: Media, name: str) -> bool:
    return any(name in path for path in list(served.asked))


def form_of(tags: Sequence[str]) -> str:
    """The form that shows media in these tags: the fields m0, m1 and so on."""
    return FORM.format("".join(TAGS[tag].format(i) for i, tag in enumerate(tags)))


def submit(loop: SyncLoop, addresses: Mapping[str, Sequence[str]]) -> None:
    """Submit items by key, each with the addresses of its media."""
    made = [
        Output(key, {f"m{i}": one for i, one in enumerate(media)}, label="cat", confidence=0.5)
        for key, media in addresses.items()
    ]
    with loop.database.transaction() as conn:
        output_store.insert(
            conn, loop.spec.name, [output_store.Row.of(one, lanes.place(one, loop.spec)) for one in made]
        )


def opened(page: Page, loop: SyncLoop, key: str) -> None:
    page.goto(f"{loop.settings.label_studio_url}/projects/{loop.project_id}/data?task={loop.task_of(key)['id']}")
    page.get_by_role("button", name="Submit").wait_for()


def comes_to(page: Page, shown: dict[str, int], errors: set[str]) -> None:
    """Wait until the page shows these numbers of media by tag, and has an error for just these addresses.

    All is read in one look: the editor may mount its form a second time, and meanwhile the page shows none of it.
    """
    counts = "({" + ", ".join(f"{tag}: {SHOWN[tag]}" for tag in shown) + "})"
    look = f"() => [{counts}, document.body?.innerText ?? '']"

    def is_there() -> bool:
        found, text = page.evaluate(look)
        return found == shown and refused(text) == errors

    wait_until(is_there, what=f"{shown or 'no media'} with errors for {sorted(errors) or 'nothing'}")


def refused(text: str) -> set[str]:
    """Addresses for which the editor writes an error, from the text of its page."""
    return set(re.findall(r"URL: (\S+)", text))


def is_shown(page: Page, loop: SyncLoop, key: str, tag: str) -> bool:
    """Wait until the editor either shows the media or says that it cannot."""
    opened(page, loop, key)
    told = " || ".join(f"document.body?.innerText?.includes({error!r})" for error in ERRORS)
    seen = page.wait_for_function(f"() => ({told}) ? 'an error' : ({SHOWN[tag]}) > 0 ? 'the media' : null")
    return bool(seen.json_value() == "the media")
