"""Fetch the bytes of a picture behind an address, within limits of time and size, and only from allowed hosts.

The connection goes to the IP address that was checked: labelloop/process/connecting.py. Each redirect is checked like
the first address.
"""

from __future__ import annotations

import time
from urllib.parse import urljoin

import httpx

from labelloop.pictures.opening import LabelStudio, Opener, is_of_label_studio
from labelloop.process.connecting import Unanswered
from labelloop.spec.fetching import Private

MAX_BYTES = 20_000_000
PICTURE_LIMIT_S = 30.0
"""Seconds for one picture, redirects included."""
REDIRECTS = 3
_TYPES = ("image/", "application/octet-stream", "binary/octet-stream")
"""Accepted beginnings of Content-Type; object stores that do not know the type send octet-stream."""


class Fetcher:
    """Fetches one address at a time. Several threads may share one Fetcher."""

    def __init__(
        self, private: Private, studio: LabelStudio | None = None, *, limit_s: float = PICTURE_LIMIT_S
    ) -> None:
        self._limit_s = limit_s
        self._opener = Opener(private, studio, "image/*, */*;q=0.5", PICTURE_LIMIT_S)

    def fetch(self, address: str) -> bytes:
        """Return the picture's bytes. Raises ValueError with the reason if it cannot or must not be fetched."""
        deadline = time.monotonic() + self._limit_s
        try:
            if is_of_label_studio(address):
                return self._of_label_studio(address, deadline)
            return self._of_web(address, deadline)
        except httpx.TimeoutException:
            raise Unanswered("does not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            raise Unanswered(f"cannot be reached: {exc or type(exc).__name__}") from None

    def close(self) -> None:
        self._opener.close()

    def _of_web(self, url: str, deadline: float, hops: int = REDIRECTS) -> bytes:
        found = self._read(self._opener.web(url, deadline), deadline)
        if isinstance(found, bytes):
            return found
        if not hops:
            raise ValueError(f"redirects more than {REDIRECTS} times")
        return self._of_web(urljoin(url, found), deadline, hops - 1)

    def _of_label_studio(self, address: str, deadline: float) -> bytes:
        """Fetch a file of Label Studio or of a storage of the loop's project, directly or by a redirect."""
        response = self._opener.label_studio(address, deadline)
        found = self._read(response, deadline, "in Label Studio ")
        # Without the token: it is Label Studio's, and no other host may see it.
        return found if isinstance(found, bytes) else self._of_web(urljoin(str(response.url), found), deadline)

    def _read(self, response: httpx.Response, deadline: float, where: str = "") -> bytes | str:
        """Return the body, or the address that the server redirects to."""
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
