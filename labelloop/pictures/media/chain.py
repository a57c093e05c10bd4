"""Chain: what a browser remembers of the answers of one address and its redirects, and which of them a page may read.

After https://fetch.spec.whatwg.org/#cors-check and https://fetch.spec.whatwg.org/#http-redirect-fetch. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labelloop.labeling.media import Medium
from labelloop.pictures.media.verdict import Code, Verdict, origin, unreadable


@dataclass(slots=True)
class Chain:
    """Facts that a browser keeps from one redirect to the next."""

    page: str
    """Origin of Label Studio's page."""
    url: str
    origin: str
    """The Origin that is sent: "null" after a redirect from another origin to a third one."""
    crossed: bool = False
    """Whether any address so far was of another origin than the page: from then on each answer must allow the page."""

    def go(self, url: str) -> None:
        if origin(self.url) not in (self.page, origin(url)):
            self.origin = "null"
        self.url = url
        self.crossed = self.crossed or origin(url) != self.page

    def allows(self, headers: Mapping[str, str]) -> bool:
        return not self.crossed or headers.get("Access-Control-Allow-Origin", "") in ("*", self.origin)


def headers_of(medium: Medium, chain: Chain) -> dict[str, str]:
    headers = {"Origin": chain.origin, "Referer": f"{chain.page}/", "User-Agent": "Mozilla/5.0 (labelloop)"}
    if not medium.needs_cors or not chain.crossed:
        del headers["Origin"]
    if medium in (Medium.AUDIO, Medium.VIDEO):
        headers["Range"] = "bytes=0-"
    return headers


def no_cors(chain: Chain, headers: Mapping[str, str]) -> Verdict:
    allowed = headers.get("Access-Control-Allow-Origin")
    whom = f"pages of {chain.origin}" if chain.origin != "null" else 'pages after a redirect (origin "null")'
    only = f"; it allows only {allowed[:100]}" if allowed else ""
    return unreadable(
        Code.CORS, f"may not be read by {whom}: its server {origin(chain.url)} does not allow them by CORS{only}"
    )


def no_frame(chain: Chain, headers: Mapping[str, str]) -> str:
    """Return why the page may not show it in a frame; "" if it may."""
    options = headers.get("X-Frame-Options", "").strip().lower()
    policy = headers.get("Content-Security-Policy", "").lower()
    ancestors = next((part.split()[1:] for part in policy.split(";") if part.split()[:1] == ["frame-ancestors"]), None)
    if ancestors is not None:
        own = origin(chain.url) == chain.page
        fits = {"*", chain.page.lower(), f"{chain.page.split(':')[0]}:"} | ({"'self'"} if own else set())
        allowed = bool(fits & set(ancestors)) or any("*" in one for one in ancestors)
        return "" if allowed else "may not be shown in a frame: its server's Content-Security-Policy does not allow it"
    if options == "deny" or (options == "sameorigin" and origin(chain.url) != chain.page):
        return f"may not be shown in a frame: its server sends X-Frame-Options {options.upper()}"
    return ""
