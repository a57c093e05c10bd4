"""Heads: the newest head of the record goes to a webhook too, as the line that the file of heads has.

It is signed as callbacks are. A head that did not arrive is sent again until it does, or until there is a newer one.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import Callable
from uuid import uuid5

from labelloop.errors import SettingsError
from labelloop.process import heads
from labelloop.process.heads import Published
from labelloop.process.settings import Settings
from sync.callbacks import address
from sync.callbacks.post import Post

SEND_EVERY_S = 5.0
"""Seconds between two looks for a new head."""
MOST_REST_S = 300.0
"""Seconds after which a head is sent again at the latest. The rest is doubled at each failure in a row."""
PREFIX = "whsec_"


class HeadSender:
    """Sends for one worker. `look` returns at once, so that a slow receiver keeps nothing from being sealed."""

    def __init__(
        self, settings: Settings, newest: Callable[[], Published | None], say: Callable[[str | None], None]
    ) -> None:
        """`newest` returns the head to be sent. `say` is called after each try with the error; None if it arrived."""
        self._url, self._secret = settings.record_webhook, settings.record_webhook_secret
        if self._url and not _is_key(self._secret):
            raise SettingsError(
                "LABELLOOP_RECORD_WEBHOOK is set, and LABELLOOP_RECORD_WEBHOOK_SECRET is not a key: it begins with "
                "whsec_, then base64 of at least 24 random bytes"
            )
        self._allowed = address.private(settings)
        self._newest, self._say = newest, say
        self._post: Post | None = None
        self._sending: asyncio.Task[None] | None = None
        self._sent: bytes | None = None
        """Hash of the newest head that arrived."""
        self._failures, self._not_before = 0, 0.0

    async def look(self) -> None:
        """Begin to send the newest head, unless it was sent, or a try is in progress or failed just now."""
        if not self._url:
            await asyncio.to_thread(self._say, None)  # a failure from before the setting was removed
            return
        head = self._newest()
        idle = self._sending is None or self._sending.done()
        if head is not None and head.hash != self._sent and idle and time.monotonic() >= self._not_before:
            self._sending = asyncio.create_task(self._send(head))

    async def finish(self) -> None:
        """Wait until nothing is in progress."""
        if self._sending is not None:
            await self._sending

    async def _send(self, head: Published) -> None:
        self._post = self._post or Post(self._allowed)
        tried = await self._post(self._url, self._secret, uuid5(head.chain, str(head.seq)), heads.written(head))
        if tried.error is None:
            self._sent, self._failures, self._not_before = head.hash, 0, 0.0
        else:
            self._failures += 1
            rest = min(MOST_REST_S, SEND_EVERY_S * 2 ** min(self._failures - 1, 10))
            self._not_before = time.monotonic() + max(rest, tried.retry_after_s)
        error = None if tried.error is None else f"{self._url} {tried.error}"
        await asyncio.to_thread(self._say, error)


def _is_key(secret: str) -> bool:
    try:
        return secret.startswith(PREFIX) and len(base64.b64decode(secret.removeprefix(PREFIX), validate=True)) >= 24
    except binascii.Error:
        return False
