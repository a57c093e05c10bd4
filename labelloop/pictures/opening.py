"""Open addresses that other people name: the connection goes to an IP address that was checked, at every redirect.

What Label Studio resolves itself is asked of Label Studio, with our token; no other host sees the token.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from labelloop.process.connecting import pinned, resolve
from labelloop.process.deadlines import Transport, until
from labelloop.reading.ids import ProjectId
from labelloop.spec.fetching import FILES, OF_LABEL_STUDIO, WEB, Private

CONNECT_S = 5.0
SETTING = "LABELLOOP_FETCH_PRIVATE"


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """The Label Studio that resolves its own addresses."""

    url: str
    authorization: Callable[[], str]
    """Return the current value of the Authorization header."""
    project: ProjectId | None
    """The project whose storages resolve an address; None if the loop has no project yet."""


def is_of_label_studio(address: str) -> bool:
    """Whether Label Studio resolves the address, by a storage or as a file of its own."""
    return address.startswith(FILES) or urlsplit(address).scheme in OF_LABEL_STUDIO


class Opener:
    """Opens one address at a time and follows no redirect. Several threads may share one Opener."""

    def __init__(self, private: Private, studio: LabelStudio | None, accept: str, limit_s: float) -> None:
        self._private, self._studio = private, studio
        self._http = httpx.Client(
            follow_redirects=False,
            trust_env=False,  # a proxy would resolve the host once more
            timeout=httpx.Timeout(limit_s, connect=CONNECT_S),
            transport=Transport(),
            headers={"Accept": accept, "Accept-Encoding": "identity"},
        )

    def close(self) -> None:
        self._http.close()

    def web(self, url: str, deadline: float, headers: Mapping[str, str] = {}) -> httpx.Response:
        """Return the response, of which only the head was read; the caller closes it.

        `deadline`: of time.monotonic(), in seconds. Raises ValueError if the address is none, or is private and not
        allowed. Raises Unanswered for an unknown host, and errors of httpx if the host does not answer.
        """
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if parts.scheme not in WEB or not host:
            raise ValueError(f"is no web address: {url[:100]!r}")
        address = resolve(self._private, host, port, SETTING)
        target, host_header, extensions = pinned(httpx.URL(url), address, port)
        return self._send(target, {**headers, **host_header}, deadline, extensions=extensions)

    def label_studio(self, address: str, deadline: float, headers: Mapping[str, str] = {}) -> httpx.Response:
        """Return Label Studio's response to one of its own addresses, such as /data/upload/1/a.png or s3://scans/1.png.

        Raises ValueError if there is no Label Studio or no project that could resolve it.
        """
        if self._studio is None:
            raise ValueError("is resolved by Label Studio: it needs LABELLOOP_LABEL_STUDIO_URL and its token")
        url, params = self._studio.url.rstrip("/"), {}
        if address.startswith("/") and not address.startswith(FILES):  # no file of its users: anybody may ask for it
            return self._send(httpx.URL(url + address), headers, deadline)
        if address.startswith(FILES):
            url += address
        elif self._studio.project is None:
            raise ValueError("is resolved by the loop's project in Label Studio, which is not there yet")
        else:
            url += f"/projects/{self._studio.project}/resolve/"
            params = {"fileuri": base64.urlsafe_b64encode(address.encode()).decode()}
        known = {**headers, "Authorization": self._studio.authorization()}
        return self._send(httpx.URL(url, params=params) if params else httpx.URL(url), known, deadline)

    def _send(
        self, url: httpx.URL, headers: Mapping[str, str], deadline: float, extensions: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        request = self._http.build_request(
            "GET", url, headers=dict(headers), extensions={**(extensions or {}), "timeout": _left(deadline)}
        )
        with until(deadline):  # the head as a whole: its bytes may come singly
            return self._http.send(request, stream=True)


def _left(deadline: float) -> dict[str, Any]:
    left = max(0.1, deadline - time.monotonic())
    return httpx.Timeout(left, connect=min(CONNECT_S, left)).as_dict()
