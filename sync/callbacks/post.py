"""One try: sign a body by Standard Webhooks and send it. https://www.standardwebhooks.com"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import floor
from uuid import UUID

import httpx
from standardwebhooks import Webhook

from labelloop.spec.fetching import Private
from sync.callbacks import address

LIMIT_S = 10.0
"""Seconds for one try, the look-up of the host included. A receiver that needs longer answers 202 first."""
MOST_NAMES = 8
"""Hosts that are looked up at the same time. A name server that does not answer holds a thread, and nothing else."""
MOST_RETRY_AFTER_S = 86_400.0
GONE = 410


@dataclass(frozen=True, slots=True)
class Tried:
    """The result of a try."""

    status: int | None
    """None without an answer."""
    error: str | None
    """None if the receiver accepted it."""
    retry_after_s: float = 0.0
    """Seconds that the receiver wants to be left alone; 0 if it says nothing."""


class Post:
    """Sends one body at a time for each caller; many may send at once. Belongs to one event loop."""

    def __init__(self, allowed: Private, *, limit_s: float = LIMIT_S) -> None:
        self._allowed, self._limit_s = allowed, limit_s
        self._names = ThreadPoolExecutor(MOST_NAMES, "callback names")
        self._http = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,  # a proxy would look the host up once more
            timeout=limit_s,
            # A connection is never used twice: two hosts may have one address, and certificates of their own.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"Content-Type": "application/json", "User-Agent": "labelloop"},
        )

    async def __call__(self, url: str, secret: str, id_: UUID, body: str) -> Tried:
        """Send the body, signed with the time of now. Every failure of the receiver is a result and no exception."""
        try:
            async with asyncio.timeout(self._limit_s):
                loop = asyncio.get_running_loop()
                target = await loop.run_in_executor(self._names, address.check, url, self._allowed)
                request = self._http.build_request(
                    "POST",
                    target.url,
                    content=body.encode(),
                    headers={**target.headers, **signed(secret, id_, body, datetime.now(UTC))},
                    extensions={**target.extensions, "timeout": httpx.Timeout(self._limit_s).as_dict()},
                )
                response = await self._http.send(request, stream=True)
                await response.aclose()  # the body of the answer means nothing
        except (TimeoutError, httpx.TimeoutException):
            return Tried(None, f"does not answer within {self._limit_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as exc:
            return Tried(None, f"cannot be reached: {exc or type(exc).__name__}"[:500])
        except ValueError as exc:
            return Tried(None, str(exc)[:500])
        return read(response)

    async def close(self) -> None:
        await self._http.aclose()
        self._names.shutdown(wait=False)


def signed(secret: str, id_: UUID, body: str, at: datetime) -> dict[str, str]:
    """Return the three headers of Standard Webhooks. Raises ValueError for a time without an offset.

    The time becomes UTC first, because the package replaces the offset of a time instead of converting it. It would
    sign 14:00+02:00 as 14:00 UTC, two hours from the time in the header.
    """
    if at.tzinfo is None:
        raise ValueError(f"a signature needs a time with an offset, and {at} has none")
    utc = at.astimezone(UTC)
    return {
        "webhook-id": str(id_),
        "webhook-timestamp": str(floor(utc.timestamp())),
        "webhook-signature": Webhook(secret).sign(str(id_), utc, body),
    }


def read(response: httpx.Response) -> Tried:
    """Return the result that an answer stands for: 2xx accepts, everything else is a failure."""
    status = response.status_code
    if response.is_success:
        return Tried(status, None)
    wish = retry_after_s(response.headers.get("Retry-After", ""), datetime.now(UTC))
    if response.has_redirect_location:
        where = response.headers["Location"][:200]
        return Tried(status, f"redirects ({status}) to {where!a}: redirects are not followed, add that address", wish)
    if status == GONE:
        return Tried(status, "answers 410 Gone: it wants no more of these")
    return Tried(status, f"answers {status}", wish)


def retry_after_s(header: str, now: datetime) -> float:
    """Read Retry-After, seconds or a date of HTTP, as seconds from now: 0 to MOST_RETRY_AFTER_S. 0 if it is neither."""
    if header.isascii() and header.isdigit():
        return min(float(header[:9]), MOST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, OverflowError):  # a year or an offset has many digits
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), MOST_RETRY_AFTER_S)
