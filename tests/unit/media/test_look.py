"""Looks at a real web server that misbehaves in each way: what a browser could load, and what not."""

from __future__ import annotations

import base64
import re
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from labelloop.labeling.media import MediaField, Medium, addresses_in, media_fields
from labelloop.pictures.media.formats import HEAD
from labelloop.pictures.media.look import Looker
from labelloop.pictures.media.verdict import Code, Level, Verdict, shown
from labelloop.spec.fetching import Private
from tests.support.network.media_server import MB, Media, media, png, wav

HERE = Private.read("127.0.0.0/8")
PAGE = "http://127.0.0.1:8080"
IMAGE = MediaField("m", "Image", Medium.IMAGE)
AUDIO = MediaField("m", "Audio", Medium.AUDIO)
VIDEO = MediaField("m", "Video", Medium.VIDEO)
TEXT = MediaField("m", "Text", Medium.TEXT)
HYPER = MediaField("m", "HyperText", Medium.TEXT)
DIALOGUE = MediaField("m", "Paragraphs", Medium.TEXT)
SERIES = MediaField("m", "TimeSeries", Medium.TABLE)
PDF = MediaField("m", "Pdf", Medium.PDF)


@pytest.fixture
def served() -> Iterator[Media]:
    with media() as found:
        yield found


@pytest.fixture
def other() -> Iterator[Media]:
    with media() as found:
        yield found


def look(field: MediaField, address: str, *, private: Private = HERE, page: str = PAGE, **how: Any) -> Verdict:
    looker = Looker(private, page, **how)
    try:
        return looker.look(field, address)
    finally:
        looker.close()


FINE = [
    (IMAGE, "cors/a.png"),
    (IMAGE, "echo/a.png"),
    (IMAGE, "cors/a.svg"),
    (IMAGE, "cors/a.bin"),
    (IMAGE, "cors/a.untyped"),
    (IMAGE, "cors+astext/a.png"),
    (AUDIO, "cors/a.wav"),
    (AUDIO, "cors+norange/a.wav"),
    (VIDEO, "cors/a.mp4"),
    (TEXT, "cors/a.txt"),
    (DIALOGUE, "cors/a.json"),
    (HYPER, "cors/a.html"),
    (HYPER, "cors+html/a.html"),
    (SERIES, "cors/a.csv"),
    (PDF, "plain/a.pdf"),
]


@pytest.mark.parametrize(("field", "path"), FINE)
def test_what_the_editor_shows_is_readable(served: Media, field: MediaField, path: str) -> None:
    assert look(field, served.at(path)).level is Level.READABLE


UNREADABLE = [
    (IMAGE, "plain/a.png", Code.CORS, r"by pages of http://127.0.0.1:8080: its server .* does not allow them by CORS"),
    (IMAGE, "wrongorigin/a.png", Code.CORS, "it allows only https://other.example"),
    (AUDIO, "plain/a.wav", Code.CORS, "CORS"),
    (VIDEO, "plain/a.mp4", Code.CORS, "CORS"),
    (SERIES, "plain/a.csv", Code.CORS, "CORS"),
    (TEXT, "plain/a.txt", Code.CORS, "CORS"),
    (HYPER, "plain/a.html", Code.CORS, "CORS"),
    (DIALOGUE, "plain/a.json", Code.CORS, "CORS"),
    (IMAGE, "cors+404/a.png", Code.MISSING, "the server answers 404"),
    (IMAGE, "404/a.png", Code.MISSING, "the server answers 404"),
    (IMAGE, "cors+410/a.png", Code.MISSING, "410"),
    (IMAGE, "cors+403/a.png", Code.FORBIDDEN, "with 403: it needs a login or a signature"),
    (IMAGE, "cors+401/a.png", Code.FORBIDDEN, "401"),
    (IMAGE, "cors+400/a.png", Code.STATUS, "400"),
    (IMAGE, "cors+html/a.png", Code.TYPE, "is a web page where an image is expected"),
    (
        IMAGE,
        "cors+login/a.png",
        Code.TYPE,
        r"a web page where an image is expected; it leads to .*in\.html, perhaps to log",
    ),
    (AUDIO, "cors+html/a.wav", Code.TYPE, "a web page where a sound is expected"),
    (SERIES, "cors+html/a.csv", Code.TYPE, "a web page where a table is expected"),
    (IMAGE, "cors/a.denied", Code.TYPE, "an error message in XML where an image"),
    (IMAGE, "cors/a.lfs", Code.TYPE, "a pointer of Git LFS where an image"),
    (IMAGE, "cors/a.broken", Code.TYPE, "bytes that are not an image"),
    (IMAGE, "cors/a.wav", Code.TYPE, "is WAV where an image is expected"),
    (TEXT, "cors/a.png", Code.TYPE, "bytes that are no text"),
    (IMAGE, "cors/a.empty", Code.EMPTY, "is empty"),
    (AUDIO, "cors/a.empty", Code.EMPTY, "is empty"),
    (IMAGE, "cors/a.tiff", Code.FORMAT, "is TIFF, which Chromium and Firefox do not show"),
    (IMAGE, "cors/a.heic", Code.FORMAT, "HEIC"),
    (AUDIO, "cors/a.aiff", Code.FORMAT, "AIFF"),
    (VIDEO, "cors/a.avi", Code.FORMAT, "is AVI, which Chromium and Firefox do not play"),
    (VIDEO, "cors/a.mov", Code.FORMAT, "QuickTime"),
    (IMAGE, "cors+loop/a.png", Code.REDIRECTS, "redirects more than 10 times"),
]


@pytest.mark.parametrize(("field", "path", "code", "says"), UNREADABLE)
def test_what_the_editor_does_not_show_is_told_with_its_reason(
    served: Media, field: MediaField, path: str, code: Code, says: str
) -> None:
    verdict = look(field, served.at(path))
    assert (verdict.level, verdict.code) == (Level.UNREADABLE, code), verdict
    assert verdict == look(field, served.at(path))
    assert re.search(says, verdict.says), verdict.says


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_in_trouble_says_nothing_about_the_file(served: Media, status: int) -> None:
    assert look(IMAGE, served.at(f"cors+{status}/a.png")).level is Level.UNKNOWN


def test_the_origin_of_the_page_is_sent_until_a_redirect_leaves_the_first_server(served: Media, other: Media) -> None:
    """As Chromium does: the second server sees the origin null, and one that allows only the page is not read."""
    served.redirect_to = f"{other.url}/echo"
    assert look(IMAGE, served.at("cors+hop/a.png")).level is Level.READABLE
    assert [headers.get("Origin") for _, headers in served.seen + other.seen] == [PAGE, "null"]

    served.redirect_to = f"{other.url}/plain"
    verdict = look(IMAGE, served.at("cors+hop/a.png"))
    assert verdict.code is Code.CORS
    assert 'origin "null"' in verdict.says
    assert other.url in verdict.says

    served.redirect_to = f"{other.url}/cors"
    assert look(IMAGE, served.at("plain+hop/a.png")).code is Code.CORS


def test_fifty_megabytes_are_told_without_reading_them(served: Media) -> None:
    verdict = look(IMAGE, served.at("cors/a.big"))
    assert (verdict.level, verdict.code, verdict.size) == (Level.WARNING, Code.LARGE, 50 * MB)
    assert "has 50 MB" in verdict.says
    time.sleep(0.2)
    assert served.sent < 8 * MB, "what was on its way in the buffers of the sockets"
    assert look(IMAGE, served.at("cors+nolength/a.big")).size is None


def test_a_video_is_asked_for_by_ranges(served: Media) -> None:
    look(VIDEO, served.at("cors/a.mp4"))
    assert served.seen[-1][1]["Range"] == "bytes=0-"
    verdict = look(VIDEO, served.at("cors+norange/a.mp4"))
    assert (verdict.level, verdict.code) == (Level.WARNING, Code.RANGES)


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_a_slow_server_ends_the_look_and_is_no_fault_of_the_file(served: Media, way: str) -> None:
    began = time.monotonic()
    verdict = look(IMAGE, served.at(f"cors+{way}/a.png"), limit_s=0.5)
    assert (verdict.level, verdict.code) == (Level.UNKNOWN, Code.UNREACHED)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_not_asked_and_not_blamed(served: Media, host: str) -> None:
    verdict = look(IMAGE, f"http://{host}:{served.port}/cors/a.png", private=Private())
    assert verdict.level is Level.UNKNOWN, verdict
    assert "LABELLOOP_FETCH_PRIVATE" in verdict.says
    assert not served.seen


def test_a_redirect_and_a_name_do_not_lead_into_the_private_network(
    served: Media, other: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.redirect_to = f"http://localhost:{other.port}/cors"
    verdict = look(IMAGE, served.at("cors+hop/a.png"), private=Private.read(f"127.0.0.1:{served.port}"))
    assert verdict.code is Code.PRIVATE
    assert not other.seen

    real = socket.getaddrinfo
    asked = []

    def rebound(host: str, *more: Any, **named: Any) -> Any:
        asked.append(host)
        return real("127.0.0.1" if host == "cdn.example" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    verdict = look(IMAGE, f"http://cdn.example:{other.port}/cors/a.png", private=Private())
    assert verdict.code is Code.PRIVATE
    assert "cdn.example" in asked
    assert not other.seen


def test_an_unknown_host_is_not_blamed() -> None:
    assert look(IMAGE, "http://nothing.invalid/a.png").code is Code.UNREACHED


def test_this_machine_is_told_where_annotators_are_elsewhere() -> None:
    for address in ("http://localhost:9000/a.png", "http://127.0.0.1/a.png", "http://[::1]/a.png", "http://0.0.0.0/a"):
        verdict = look(IMAGE, address, page="https://label.example.org")
        assert (verdict.level, verdict.code) == (Level.UNREADABLE, Code.LOCAL)


def test_plain_http_on_a_page_of_https(served: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    for field in (SERIES, HYPER, PDF):
        verdict = look(field, "http://nothing.invalid/a", page="https://label.example.org")
        assert (verdict.level, verdict.code) == (Level.UNREADABLE, Code.MIXED)
    verdict = look(IMAGE, "http://nothing.invalid/a.png", page="https://label.example.org")
    assert (verdict.level, verdict.code) == (Level.UNREADABLE, Code.MIXED), "nothing answers by https"


AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SIGNED = [
    ("X-Amz-Date=20260301T110000Z&X-Amz-Expires=3599&X-Amz-Signature=a", "S3", True),
    ("X-Amz-Date=20260301T110000Z&X-Amz-Expires=7200&X-Amz-Signature=a", "S3", False),
    ("X-Goog-Date=20260228T110000Z&X-Goog-Expires=60&X-Goog-Signature=a", "Google Cloud Storage", True),
    ("GoogleAccessId=me&Expires=1772370000&Signature=a", "Google Cloud Storage", False),
    ("AWSAccessKeyId=me&Expires=1000000000&Signature=a", "S3", True),
    ("sv=2022&se=2026-03-01T11%3A59%3A59Z&sig=a", "Azure", True),
    ("sv=2022&se=2026-03-02&sig=a", "Azure", False),
]


@pytest.mark.parametrize(("query", "service", "expired"), SIGNED)
def test_a_signature_tells_when_it_expires(served: Media, query: str, service: str, expired: bool) -> None:
    verdict = look(IMAGE, served.at(f"cors/a.png?{query}"), now=lambda: AT)
    assert service in verdict.says
    assert verdict.expires_at is not None
    wanted = (Level.UNREADABLE, Code.EXPIRED) if expired else (Level.WARNING, Code.EXPIRES)
    assert (verdict.level, verdict.code) == wanted
    assert bool(served.seen) is not expired, "an expired one is not even asked for"
    assert (verdict.expires_at <= AT) is expired


@pytest.mark.parametrize("query", ["X-Amz-Date=x&X-Amz-Expires=y&X-Amz-Signature=z", "se=soon&sig=a", "Expires=1"])
def test_a_query_that_only_looks_signed_is_no_error(served: Media, query: str) -> None:
    assert look(IMAGE, served.at(f"cors/a.png?{query}")).level is Level.READABLE


def test_a_refused_signature_is_told_as_one(served: Media) -> None:
    query = "X-Amz-Date=20260301T110000Z&X-Amz-Expires=7200&X-Amz-Signature=a"
    assert "its signature is not valid" in look(IMAGE, served.at(f"cors+403/a.png?{query}"), now=lambda: AT).says


def test_data_uris_are_judged_by_their_bytes() -> None:
    whole = base64.b64encode(png()).decode()
    assert look(IMAGE, f"data:image/png;base64,{whole}").level is Level.READABLE
    sound = look(AUDIO, "data:audio/wav;base64," + base64.b64encode(wav(0.1)).decode())
    assert (sound.level, sound.code) == (Level.UNREADABLE, Code.FORMAT)
    assert "Label Studio does not play; submit the address of a file" in sound.says
    assert look(IMAGE, "data:image/svg+xml,%3Csvg%20xmlns=''/%3E").level is Level.READABLE
    assert look(IMAGE, "data:image/png;base64,").code is Code.EMPTY
    assert look(IMAGE, "data:image/png").code is Code.ADDRESS
    assert look(IMAGE, "data:text/html,<html>").code is Code.TYPE
    big = base64.b64encode(png() + bytes(21 * MB)).decode()
    assert look(IMAGE, f"data:image/png;base64,{big}").code is Code.LARGE


@pytest.mark.parametrize(
    "address",
    ["file:///etc/passwd", "javascript:alert(1)", "ftp://a/b.png", "C:\\pictures\\a.png", "http://", "http://[::1"],
)
def test_what_no_browser_loads_is_no_address(address: str) -> None:
    verdict = look(IMAGE, address)
    assert (verdict.level, verdict.code) == (Level.UNREADABLE, Code.ADDRESS)


def test_an_address_is_shown_without_what_is_secret_in_it() -> None:
    assert shown("https://me:pw@a.example/b.png?X-Amz-Signature=s#f") == "https://a.example/b.png?…"
    assert shown("data:image/png;base64,AAAA") == "data:image/png;base64,…"
    assert shown("/data/local-files/?d=a/b.png") == "/data/local-files/?d=a/b.png"


def test_the_fields_of_a_form_are_found_by_their_tags() -> None:
    form = """<View><Image name="i" value="$doc.image"/><Image name="l" valueList="$pages"/>
    <Paragraphs name="p" value="$talk" audioUrl="$sound" layout="dialogue"/><Text name="t" value="$text"/>
    <HyperText name="h" valueType="url" value="$page"/><Image name="x" value="https://cdn.example/$id.png"/>
    <Choices name="c" toName="i"><Choice value="a"/></Choices></View>"""
    found = media_fields(form)
    assert [(one.field, one.tag, one.medium) for one in found] == [
        ("doc.image", "Image", Medium.IMAGE),
        ("pages", "Image", Medium.IMAGE),
        ("sound", "Paragraphs", Medium.AUDIO),
        ("page", "HyperText", Medium.TEXT),
    ]
    data = {"doc": {"image": "a.png"}, "pages": ["b.png", "b.png", 3], "sound": None, "page": " https://x/ "}
    assert [address for _, address in addresses_in(data, found)] == ["a.png", "b.png", "https://x/"]


def test_the_head_is_enough() -> None:
    assert HEAD == 65_536
