"""Verdict: whether a browser can load an address, in one sentence; and the rules that need no request. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from labelloop.labeling.media import Medium
from labelloop.pictures.media import formats
from labelloop.pictures.media.signed import signature
from labelloop.spec.fetching import FILES

MB = 1_000_000
LARGE = {
    Medium.IMAGE: 20 * MB,
    Medium.AUDIO: 100 * MB,
    Medium.VIDEO: 2_000 * MB,
    Medium.PDF: 100 * MB,
    Medium.TEXT: 5 * MB,
    Medium.TABLE: 50 * MB,
}
"""Bytes above which a browser is slow or runs out of memory.

The editor loads an image twice and decodes a whole sound.
"""


class Level(StrEnum):
    READABLE = "readable"
    WARNING = "warning"
    """It can be read, with a disadvantage."""
    UNREADABLE = "unreadable"
    """No browser can read it."""
    UNKNOWN = "unknown"
    """This machine cannot tell, because another network or another time may give another result."""


class Code(StrEnum):
    """The finding in one word; docs/operators/media.md says what to do about each."""

    FINE = "fine"
    MISSING = "missing"
    FORBIDDEN = "forbidden"
    STATUS = "status"
    CORS = "cors"
    FRAME = "frame"
    EXPIRED = "expired"
    EXPIRES = "expires"
    MIXED = "mixed"
    TYPE = "type"
    FORMAT = "format"
    EMPTY = "empty"
    LARGE = "large"
    LOCAL = "local"
    STORAGE = "storage"
    REDIRECTS = "redirects"
    ADDRESS = "address"
    RANGES = "ranges"
    PRIVATE = "private"
    UNREACHED = "unreached"


OF_A_HOST = frozenset({Code.CORS, Code.FRAME, Code.MIXED, Code.LOCAL, Code.STORAGE, Code.FORBIDDEN, Code.REDIRECTS})
"""Findings that one change at the server mends for all of its addresses."""


@dataclass(frozen=True, slots=True)
class Verdict:
    level: Level
    code: Code
    says: str
    """The finding, as the rest of a sentence that the address begins."""
    size: int | None = None
    """Bytes of the whole file; None if the server does not tell."""
    expires_at: datetime | None = None
    """Time at which the address's own signature expires; None if it has none."""


def fine(size: int | None = None) -> Verdict:
    return Verdict(Level.READABLE, Code.FINE, "can be read", size)


def unreadable(code: Code, says: str, size: int | None = None) -> Verdict:
    return Verdict(Level.UNREADABLE, code, says, size)


def warning(code: Code, says: str, size: int | None = None) -> Verdict:
    return Verdict(Level.WARNING, code, says, size)


def unknown(code: Code, says: str) -> Verdict:
    return Verdict(Level.UNKNOWN, code, says)


def shown(address: str) -> str:
    """Return the address for people: short, and without its query, which may hold a signature or a password."""
    if address.startswith("data:"):
        return address.partition(",")[0][:60] + ",…"
    if address.startswith(FILES):
        return address[:200]
    try:
        parts = urlsplit(address)
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    except ValueError:
        return repr(address[:100])
    return plain[:200] + ("?…" if parts.query else "")


def origin(url: str) -> str:
    """Return the origin of an address, as browsers write it: scheme, host, and the port unless it is the usual one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, usual) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def is_loopback(host: str) -> bool:
    """Whether only the machine itself can reach the host."""
    host = host.lower().rstrip(".").strip("[]")
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return found.is_loopback or found.is_unspecified


def without_request(address: str, medium: Medium, page: str, now: datetime) -> Verdict | None:
    """Judge a web address by its text; None if it must be requested. `page` is the address of Label Studio's page.

    Plain http on a page of https is judged by `mixed`, because a browser may turn it into https.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if is_loopback(host) and not is_loopback(urlsplit(page).hostname or ""):
        return unreadable(Code.LOCAL, f"names this machine itself ({host}), which no annotator's browser can reach")
    if medium is Medium.VIDEO:
        name = formats.UNSHOWN_ENDINGS.get(parts.path.rpartition("/")[2].rpartition(".")[2].lower())
        if name is not None:
            return unreadable(Code.FORMAT, f"is {name}, which Chromium and Firefox do not play; convert it to MP4")
    if (signed := signature(address)) is not None and signed[1] <= now:
        return replace(
            unreadable(Code.EXPIRED, f"has a signature of {signed[0]} that expired on {_time(signed[1])}"),
            expires_at=signed[1],
        )
    return None


def is_mixed(address: str, page: str) -> bool:
    """Whether a page of https names an address of plain http; browsers trust their own machine."""
    parts = urlsplit(address)
    return page.startswith("https:") and parts.scheme == "http" and not is_loopback(parts.hostname or "")


def with_signature(verdict: Verdict, address: str, now: datetime) -> Verdict:
    """Add when the signature of a readable address expires."""
    signed = signature(address)
    if signed is None or verdict.level not in (Level.READABLE, Level.WARNING):
        return verdict
    verdict = replace(verdict, expires_at=signed[1])
    if verdict.level is Level.WARNING:
        return verdict
    says = f"can be read until its signature of {signed[0]} expires on {_time(signed[1])}, {_left(signed[1] - now)}"
    return replace(verdict, level=Level.WARNING, code=Code.EXPIRES, says=says)


def of_status(status: int, signed: bool) -> Verdict | None:
    """Judge a status; None if the body is to be judged."""
    if status in (200, 206):
        return None
    if status in (404, 410):
        return unreadable(Code.MISSING, f"does not exist: the server answers {status}")
    if status in (401, 403):
        why = "its signature is not valid, or the file does not exist" if signed else "it needs a login or a signature"
        return unreadable(Code.FORBIDDEN, f"is refused by its server with {status}: {why}")
    if status in (408, 425, 429) or status >= 500:
        return unknown(Code.UNREACHED, f"was not looked at, because its server answers {status}")
    return unreadable(Code.STATUS, f"cannot be read: the server answers {status}")


def of_body(medium: Medium, tag: str, head: bytes, size: int | None, via: str = "") -> Verdict:
    """Judge a file by its beginning and its size in bytes. `via` names the last address of a redirect."""
    if not head:
        return unreadable(Code.EMPTY, "is empty: 0 bytes", 0)
    if (found := formats.unshown(medium, head, page_is_wanted=tag.lower() == "hypertext")) is not None:
        return _of_format(medium, tag, found, size, via)
    if (
        medium in (Medium.TEXT, Medium.TABLE)
        and b"\x00" in head[:1024]
        and not head.startswith((b"\xff\xfe", b"\xfe\xff"))
    ):
        return unreadable(Code.TYPE, f"holds bytes that are no text, where {medium.words} is expected", size)
    if size is not None and size > LARGE[medium]:
        more = ", and the editor loads an image twice" if medium is Medium.IMAGE else ""
        return warning(
            Code.LARGE,
            f"has {size / MB:,.0f} MB; above {LARGE[medium] / MB:,.0f} MB a browser is slow or fails{more}",
            size,
        )
    if (of := formats.codec(head)) is not None and medium is Medium.VIDEO:
        return warning(Code.FORMAT, f"is encoded as {of}, which not every browser plays", size)
    return fine(size)


def _of_format(medium: Medium, tag: str, found: str, size: int | None, via: str) -> Verdict:
    if found in (formats.PAGE, formats.ERROR, formats.POINTER):
        login = f"; it leads to {via}, perhaps to log in" if via and found == formats.PAGE else ""
        says = f"is {found} where {medium.words} is expected{login}"
        if tag.lower() == "text" and found == formats.PAGE:
            return warning(Code.TYPE, f"{says}, and is shown with its tags", size)
        return unreadable(Code.TYPE, says, size)
    if found == "no known format":
        return unreadable(Code.TYPE, f"holds bytes that are not {medium.words}", size)
    if found in {name for names in formats.SHOWN.values() for name in names} and medium is not Medium.AUDIO:
        return unreadable(Code.TYPE, f"is {found} where {medium.words} is expected", size)
    return unreadable(Code.FORMAT, f"is {found}, which Chromium and Firefox do not show as {medium.words}", size)


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _left(left: timedelta) -> str:
    minutes = max(0, int(left.total_seconds() // 60))
    for n, unit in ((minutes // 1440, "day"), (minutes // 60, "hour")):
        if n:
            return f"in {n} {unit}{'s' * (n != 1)}"
    return f"in {minutes} minute{'s' * (minutes != 1)}"
