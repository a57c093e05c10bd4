"""Look: ask for the beginning of what an address names, as the annotator's browser would, and judge it.

Like the browser, it names the page's origin, follows redirects, and asks for a range of sounds and videos. Unlike the
browser, it connects only to public addresses and to those that LABELLOOP_FETCH_PRIVATE names, at every redirect, and it
reads at most HEAD bytes. Whether a page may read an answer: https://fetch.spec.whatwg.org/#cors-check
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import httpx

from labelloop.errors import LabelloopError
from labelloop.labeling.media import MediaField, Medium
from labelloop.pictures.media.chain import Chain, headers_of, no_cors, no_frame
from labelloop.pictures.media.formats import HEAD
from labelloop.pictures.media.signed import signature
from labelloop.pictures.media.verdict import (
    Code,
    Level,
    Verdict,
    is_mixed,
    of_body,
    of_status,
    origin,
    shown,
    unknown,
    unreadable,
    warning,
    with_signature,
    without_request,
)
from labelloop.pictures.opening import LabelStudio, Opener
from labelloop.process.connecting import Unanswered
from labelloop.spec.fetching import FILES, OF_LABEL_STUDIO, WEB, Private, climbs

LOOK_S = 10.0
"""Seconds for one address, redirects included."""
REDIRECTS = 10
_NO_DATA = ("audio", "audioplus")
"""Tags whose player does not load a `data:` URI (1.23.2)."""
_BODY_S = 5.0
"""Seconds for the beginning of a body."""


class Looker:
    """Looks at one address at a time. Several threads may share one Looker.

    `page`: the address at which annotators open Label Studio. `storages`: names of the buckets that the project's
    storages cover, as `s3://scans`; None if they are not known.
    """

    def __init__(
        self,
        private: Private,
        page: str,
        studio: LabelStudio | None = None,
        storages: Callable[[], frozenset[str] | None] = lambda: None,
        *,
        limit_s: float = LOOK_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._page, self._studio, self._storages = page.rstrip("/"), studio, storages
        self._limit_s, self._now = limit_s, now
        self._opener = Opener(private, studio, "*/*", limit_s)

    def close(self) -> None:
        self._opener.close()

    def look(self, field: MediaField, address: str) -> Verdict:
        """Return whether a browser can load the address for this tag. Raises no error."""
        try:
            if address.startswith("data:"):
                return _of_data(field, address)
            parts = urlsplit(address)
            parts.port  # noqa: B018 - raises if the port is no number
            if parts.scheme in OF_LABEL_STUDIO:
                return self._of_storage(field, address)
            if parts.scheme not in ("", *WEB) or (parts.scheme and not parts.hostname):
                return unreadable(Code.ADDRESS, f"is no address that a browser loads: it begins with {address[:20]!r}")
            url = urljoin(f"{self._page}/", address)
            if self._is_own(url):
                return self._of_file(field, urlsplit(url)._replace(scheme="", netloc="").geturl())
            return self._of_web(field, url)
        except ValueError as exc:
            return unreadable(Code.ADDRESS, f"is no address: {exc}")

    def _of_web(self, field: MediaField, url: str) -> Verdict:
        now = self._now()
        verdict = without_request(url, field.medium, self._page, now)
        if verdict is not None:
            return verdict
        if is_mixed(url, self._page):
            return self._of_mixed(field, url)
        chain = Chain(origin(self._page), url, origin(self._page))
        chain.crossed = origin(url) != chain.page
        return with_signature(self._follow(field, chain, lambda deadline: self._open(field, chain, deadline)), url, now)

    def _of_mixed(self, field: MediaField, url: str) -> Verdict:
        """Judge plain http on a page of https: browsers ask for images, sounds and videos by https instead."""
        says = "is plain http, which browsers refuse on the https page of Label Studio; serve it by https"
        if field.medium not in (Medium.IMAGE, Medium.AUDIO, Medium.VIDEO):
            return unreadable(Code.MIXED, says)
        parts = urlsplit(url)
        netloc = parts.netloc.removesuffix(":80")
        instead = self._of_web(field, parts._replace(scheme="https", netloc=netloc).geturl())
        if instead.level in (Level.READABLE, Level.WARNING):
            return warning(Code.MIXED, "is plain http on the https page of Label Studio; by https it can be read")
        return unreadable(Code.MIXED, says)

    def _of_storage(self, field: MediaField, address: str) -> Verdict:
        """Judge an address that a storage of the loop's project resolves."""
        covered = self._storages()
        bucket = "/".join(address.split("/", 3)[:3])
        if covered is not None and bucket not in covered:
            project = "the loop's project" if self._studio is None else f"project {self._studio.project}"
            has = f"its storages cover {', '.join(sorted(covered))}" if covered else "it has none"
            return unreadable(Code.STORAGE, f"is in no storage of {project} in Label Studio: {has}")
        return self._in_label_studio(field, address)

    def _of_file(self, field: MediaField, path: str) -> Verdict:
        """Judge a file of Label Studio's own host."""
        if climbs(path):
            return unreadable(Code.ADDRESS, "is no address of a file: its path has `..`")
        return self._in_label_studio(field, path)

    def _in_label_studio(self, field: MediaField, address: str) -> Verdict:
        page = origin(self._page)
        chain = Chain(page, f"{page}/", page)
        headers = headers_of(field.medium, chain)
        verdict = self._follow(
            field, chain, lambda deadline: self._opener.label_studio(address, deadline, headers), first_of=address
        )
        if verdict.code is Code.MIXED:
            return verdict
        if verdict.code in (Code.MISSING, Code.FORBIDDEN) and not chain.crossed and address.startswith(FILES):
            return replace(verdict, says=_local_file(address, verdict))
        return verdict

    def _is_own(self, url: str) -> bool:
        own = {origin(self._page)} | ({origin(self._studio.url)} if self._studio else set())
        return origin(url) in own

    def _open(self, field: MediaField, chain: Chain, deadline: float) -> httpx.Response:
        return self._opener.web(chain.url, deadline, headers_of(field.medium, chain))

    def _follow(
        self, field: MediaField, chain: Chain, first: Callable[[float], httpx.Response], first_of: str = ""
    ) -> Verdict:
        """Open the address and its redirects, and judge the last answer."""
        deadline = time.monotonic() + self._limit_s
        open_, begun = first, chain.url
        try:
            for _ in range(REDIRECTS + 1):
                response = open_(deadline)
                try:
                    if not response.has_redirect_location:
                        via = shown(chain.url) if chain.url != begun else ""
                        return _judge(field, chain, response, deadline, first_of if not chain.crossed else "", via)
                    if field.medium.needs_cors and not chain.allows(response.headers):
                        return no_cors(chain, response.headers)
                    to = urljoin(chain.url, response.headers["Location"])
                finally:
                    response.close()
                chain.go(to)
                if is_mixed(to, self._page):
                    return unreadable(
                        Code.MIXED, f"leads to plain http ({shown(to)}) on the https page of Label Studio"
                    )
                if (verdict := without_request(to, field.medium, self._page, self._now())) is not None:
                    return replace(verdict, says=f"leads to {shown(to)}, which {verdict.says}")
                open_ = lambda until: self._open(field, chain, until)  # noqa: E731
            return unreadable(Code.REDIRECTS, f"redirects more than {REDIRECTS} times")
        except httpx.TimeoutException:
            return unknown(
                Code.UNREACHED, f"was not looked at, because its server gave no answer within {self._limit_s:g} s"
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            return unknown(
                Code.UNREACHED, f"was not looked at, because its server cannot be reached: {exc or type(exc).__name__}"
            )
        except Unanswered as exc:
            return unknown(Code.UNREACHED, f"was not looked at, because it {exc}")
        except LabelloopError as exc:
            return unknown(Code.UNREACHED, f"was not looked at: {exc}")
        except ValueError as exc:
            return unknown(Code.PRIVATE, f"was not looked at, because it {exc}")


def _judge(field: MediaField, chain: Chain, response: httpx.Response, deadline: float, own: str, via: str) -> Verdict:
    """Judge the last answer. `own`: the address, if Label Studio itself answers."""
    status = response.status_code
    if own and (verdict := _of_studio_status(status, own)) is not None:
        return verdict
    if status == 416:  # a range of nothing
        return unreadable(Code.EMPTY, "is empty: 0 bytes", 0)
    if (verdict := of_status(status, signature(chain.url) is not None)) is not None:
        return verdict
    if field.medium.needs_cors and not chain.allows(response.headers):
        return no_cors(chain, response.headers)
    if field.medium is Medium.PDF and (refused := no_frame(chain, response.headers)):
        return unreadable(Code.FRAME, refused)
    size = _size(response)
    verdict = of_body(field.medium, field.tag, _head(response, deadline), size, via)
    if verdict.level is Level.READABLE and field.medium is Medium.VIDEO and status == 200:
        return warning(
            Code.RANGES, "can be read, but people cannot jump in it: its server answers no range requests", size
        )
    return verdict


def _of_studio_status(status: int, address: str) -> Verdict | None:
    """Judge what Label Studio 1.23.2 says to one of its own addresses; None if it is judged like any other answer."""
    if status == 500 and address.startswith(f"{FILES}upload/"):
        return unreadable(Code.MISSING, "does not exist: Label Studio knows no such upload")
    if address.startswith("/"):
        return None
    if status == 404:
        return unreadable(Code.STORAGE, "cannot be resolved by Label Studio: no storage of the project covers it")
    if status == 424:
        why = "it does not exist, or the keys or the network of the storage fail"
        return unreadable(Code.STORAGE, f"cannot be read by Label Studio from its storage: {why}")
    return None


def _local_file(address: str, verdict: Verdict) -> str:
    if not address.startswith(f"{FILES}local-files/"):
        return verdict.says
    if verdict.code is Code.FORBIDDEN:
        return "is refused by Label Studio, which serves local files only with LOCAL_FILES_SERVING_ENABLED=true"
    return "does not exist, or no local storage of a project in Label Studio covers its folder"


def _size(response: httpx.Response) -> int | None:
    whole = response.headers.get("Content-Range", "").rpartition("/")[2]
    given = whole if response.status_code == 206 else response.headers.get("Content-Length", "")
    return int(given) if given.isdecimal() else None


def _head(response: httpx.Response, deadline: float) -> bytes:
    """Return the first HEAD bytes of the body, or fewer if no more came in time."""
    head, ends = bytearray(), min(deadline, time.monotonic() + _BODY_S)
    for piece in response.iter_raw():
        head += piece
        if len(head) >= HEAD or time.monotonic() > ends:
            break
    return bytes(head[:HEAD])


def _of_data(field: MediaField, address: str) -> Verdict:
    """Judge a `data:` URI, which holds the whole file."""
    if field.tag.lower() in _NO_DATA:
        return unreadable(
            Code.FORMAT, "is a sound inside the data, which Label Studio does not play; submit the address of a file"
        )
    header, comma, body = address.partition(",")
    if not comma:
        return unreadable(Code.ADDRESS, "is no data: URI, because it has no comma")
    try:
        raw = base64.b64decode(body, validate=False) if header.endswith(";base64") else unquote_to_bytes(body)
    except (binascii.Error, ValueError):
        return unreadable(Code.ADDRESS, "is no data: URI, because it is not encoded in base64 as it says")
    return of_body(field.medium, field.tag, raw[:HEAD], len(raw))
