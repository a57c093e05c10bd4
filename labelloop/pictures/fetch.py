"""Fetch the bytes of a picture behind an address, within limits of time and size, and only from allowed hosts.

The connection goes to the IP address that was checked: labelloop/process/connecting.py. Each redirect is checked like
the first address.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from labelloop.process.connecting import Unanswered, pinned, resolve
from labelloop.reading.ids import ProjectId
from labelloop.spec.fetching import FILES, OF_LABEL_STUDIO, WEB, Private

MAX_BYTES = 20_000_000
PICTURE_LIMIT_S = 30.0
"""Seconds for one picture, redirects included."""
CONNECT_S = 5.0
REDIRECTS = 3
_TYPES = ("image/", "application/octet-stream", "binary/octet-stream")
"""Accepted beginnings of Content-Type; object stores that do not know the type send octet-stream."""


@dataclass(frozen=True, slots=True)
class LabelStudio:
    """The Label Studio that resolves its own addresses."""

    url: str
    authorization: Callable[[], str]
    """Return the current value of the Authorization header."""
    project: ProjectId | None
    """The project whose storages resolve an address; None if the loop has no project yet."""


class Fetcher:
    """Fetches one address at a time. Several threads may share one Fetcher."""

    def __init__(
        self, private: Private, studio: LabelStudio | None = None, *, limit_s: float = PICTURE_LIMIT_S
    ) -> None:
        self._private, self._studio, self._limit_s = private, studio, limit_s
        self._http = httpx.Client(
            follow_redirects=False,
            trust_env=False,  # a proxy would resolve the host once more
            timeout=httpx.Timeout(PICTURE_LIMIT_S, connect=CONNECT_S),
            headers={"Accept": "image/*, */*;q=0.5", "Accept-Encoding": "identity"},
        )

    def fetch(self, address: str) -> bytes:
        """Return the picture's bytes. Raises ValueError with the reason if it cannot or must not be fetched."""
        deadline = time.monotonic() + self._limit_s
        try:
            if address.startswith(FILES) or urlsplit(address).scheme in OF_LABEL_STUDIO:
                return self._of_label_studio(address, deadline)
            return self._of_web(address, deadline)
        except httpx.TimeoutException:
            raise Unanswered("does not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            raise Unanswered(f"cannot be reached: {exc or type(exc).__name__}") from None

    def close(self) -> None:
        self._http.close()

    def _of_web(self, url: str, deadline: float, hops: int = REDIRECTS) -> bytes:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        if parts.scheme not in WEB or not host:
            raise ValueError(f"is no web address: {url[:100]!r}")
        address = resolve(self._private, host, port, "LABELLOOP_FETCH_PRIVATE")
        target, headers, extensions = pinned(httpx.URL(url), address, port)
        request = self._http.build_request(
            "GET", target, headers=headers, extensions={**extensions, "timeout": self._left(deadline)}
        )
        found = self._read(request, deadline)
        if isinstance(found, bytes):
            return found
        if not hops:
            raise ValueError(f"redirects more than {REDIRECTS} times")
        return self._of_web(urljoin(url, found), deadline, hops - 1)

    def _of_label_studio(self, address: str, deadline: float) -> bytes:
        """Fetch a file of Label Studio or of a storage of the loop's project, directly or by a redirect."""
        if self._studio is None:
            raise ValueError("is resolved by Label Studio: it needs LABELLOOP_LABEL_STUDIO_URL and its token")
        url, params = self._studio.url.rstrip("/"), {}
        if address.startswith(FILES):
            url += address
        elif self._studio.project is None:
            raise ValueError("is resolved by the loop's project in Label Studio, which is not there yet")
        else:
            url += f"/projects/{self._studio.project}/resolve/"
            params = {"fileuri": base64.urlsafe_b64encode(address.encode()).decode()}
        request = self._http.build_request(
            "GET",
            url,
            params=params or None,
            headers={"Authorization": self._studio.authorization()},
            extensions={"timeout": self._left(deadline)},
        )
        found = self._read(request, deadline, "in Label Studio ")
        # Without the token: it is Label Studio's, and no other host may see it.
        return found if isinstance(found, bytes) else self._of_web(urljoin(url, found), deadline)

    def _read(self, request: httpx.Request, deadline: float, where: str = "") -> bytes | str:
        """Return the body, or the address that the server redirects to."""
        response = self._http.send(request, stream=True)
        try:
            if response.has_redirect_location:
                return response.headers["Location"]
            if response.status_code != 200:
                raise ValueError(f"{where}has the status {response.status_code}")
            kind = response.headers.get("Content-Type", _TYPES[-1]).lower()
            if not kind.startswith(_TYPES):
                raise ValueError(f"{where}is no picture but {kind[:60]!r}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError(f"{where}is compressed, though the request did not allow it")
            body = bytearray()
            for piece in response.iter_raw():
                body += piece
                if len(body) > MAX_BYTES:
                    raise ValueError(f"{where}has more than {MAX_BYTES:,} bytes")
                if time.monotonic() > deadline:
                    raise ValueError(f"{where}takes more than {self._limit_s:g} s")
            return bytes(body)
        finally:
            response.close()

    def _left(self, deadline: float) -> dict[str, Any]:
        left = max(0.1, deadline - time.monotonic())
        return httpx.Timeout(left, connect=min(CONNECT_S, left)).as_dict()
