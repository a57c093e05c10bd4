"""The HTTP client of remote models: a limited number of concurrent requests, each with a time limit and retries.

Requests answered with 429 or 5xx are retried: after the answer's Retry-After, else after 0.5 s, 1 s and 2 s.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from backend.learners.others import deadline
from labelloop.errors import Failed, SpecError, Unreachable

TRIES = 4
LONGEST_PAUSE_S = 60.0
MAX_ANSWER = 8 << 20
T = TypeVar("T")
logger = logging.getLogger(__name__)


class Rejected(Failed):
    """The server rejects this one request with 400, 413 or 422, for example because a text is too long."""


class Wire:
    """The client of one server. Safe for threads. Secrets are read for each request and never stored."""

    def __init__(self, url: str, at_once: int, timeout_s: float, secrets: Mapping[str, str] | None = None) -> None:
        """`secrets`: the part of the authorization ("key", or "user" and "password") to its environment variable."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SpecError(f"learner.params.url must begin with http:// or https:// and name a host; it is {url!r}")
        if parts.username or parts.password or parts.query:
            raise SpecError(
                "learner.params.url must hold no password, key or query: name environment variables for them"
            )
        for name, value in (("at_once", at_once), ("timeout_s", timeout_s)):
            if value <= 0:
                raise SpecError(f"learner.params.{name} must be above 0; it is {value}")
        self.url, self._timeout_s = url.rstrip("/"), timeout_s
        self._secrets = dict(secrets or {})
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="wire")
        self._client = httpx.Client(timeout=timeout_s, limits=httpx.Limits(max_connections=at_once))

    def each(self, ask: Callable[[T, float], Any], items: Sequence[T]) -> list[Any]:
        """Return `ask(item, until)` of each item, several at a time; None for a rejected item if others are accepted.

        With a deadline, None for all items without an answer in time. Without one, the first error is raised, and the
        remaining items are not sent.
        """
        limited, until = deadline.is_set(), time.monotonic() + deadline.left(float("inf"))
        futures = [self._pool.submit(self._or_error, ask, item, until) for item in items]
        most = max(0.0, until - time.monotonic()) if limited else None
        wait(futures, most, return_when=ALL_COMPLETED if limited else FIRST_EXCEPTION)
        late = [future for future in futures if future.cancel() or not future.done()]
        found = [None if future in late or future.exception() else future.result() for future in futures]
        errors = [error for future in futures if future not in late and (error := future.exception())]
        rejected = [one for one in found if isinstance(one, Rejected)]
        if not limited and (errors or len(rejected) == len(items) > 0):
            raise (errors or rejected)[0]
        for error in [*errors, *rejected][:1]:
            logger.warning("%d of %d answers are missing: %s", len(errors) + len(rejected), len(items), error)
        if limited and late:
            logger.warning("%s: %d of %d answers missed the deadline", self.url, len(late), len(items))
        return [None if isinstance(one, Rejected) else one for one in found]

    def _or_error(self, ask: Callable[[T, float], Any], item: T, until: float) -> Any:
        try:
            return ask(item, until)
        except Rejected as exc:
            return exc

    def post(self, path: str, body: Mapping[str, Any], until: float) -> Any:
        """Return the JSON of the answer; None if it is not JSON.

        Raises Unreachable if there is no answer in time, Rejected or Failed if the request is refused.
        """
        for attempt in range(TRIES):
            status, headers, raw = self._once(path, body, until)
            if status != 429 and status < 500:
                break
            pause = _pause(headers.get("Retry-After"), attempt)
            if attempt == TRIES - 1 or pause > LONGEST_PAUSE_S or time.monotonic() + pause > until:
                raise Unreachable(f"{self.url} answers {status}: {self._words(raw)}")
            threading.Event().wait(pause)
        if status != 200:
            kind = Rejected if status in (400, 413, 422) else Failed
            raise kind(f"{self.url} refuses the request, {status}: {self._words(raw)}")
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            return None

    def _once(self, path: str, body: Mapping[str, Any], until: float) -> tuple[int, httpx.Headers, bytes]:
        end = min(until, time.monotonic() + self._timeout_s)
        if end <= time.monotonic():
            raise Unreachable(f"no request was sent to {self.url}: the time was over")
        raw = bytearray()
        try:
            # The whole answer has a time limit: a server that sends single bytes would never exceed one between bytes.
            with self._client.stream(
                "POST", self.url + path, json=body, auth=self._auth(), timeout=max(0.001, end - time.monotonic())
            ) as response:
                for part in response.iter_bytes():
                    raw += part
                    if len(raw) > MAX_ANSWER:
                        raise Failed(f"{self.url} answers with more than {MAX_ANSWER >> 20} MiB")
                    if time.monotonic() > end:
                        raise Unreachable(f"{self.url} does not answer within {self._timeout_s:g} s")
                return response.status_code, response.headers, bytes(raw)
        except httpx.TimeoutException:
            raise Unreachable(f"{self.url} does not answer within {self._timeout_s:g} s") from None
        except httpx.HTTPError as exc:
            raise Unreachable(f"{self.url} cannot be reached: {type(exc).__name__}: {exc}") from None

    def _auth(self) -> Any:
        found = {part: os.environ.get(name) for part, name in self._secrets.items()}
        if missing := [self._secrets[part] for part, value in found.items() if not value]:
            raise Failed(f"not set: {', '.join(missing)}, which learner.params names")
        match found:
            case {"key": str() as key}:
                return _Bearer(key)
            case {"user": str() as user, "password": str() as password}:
                return httpx.BasicAuth(user, password)
        return None

    def _words(self, raw: bytes) -> str:
        """Return the beginning of an answer for a message, without secrets, since a server may repeat the key."""
        words = raw[:2000].decode(errors="replace")
        for name in self._secrets.values():
            if secret := os.environ.get(name):
                words = words.replace(secret, "***")
        return " ".join(words.split())[:300] or "nothing more"


class _Bearer(httpx.Auth):
    def __init__(self, key: str) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Any:
        request.headers["Authorization"] = f"Bearer {self._key}"
        yield request


def _pause(retry_after: str | None, attempt: int) -> float:
    """Return the pause in seconds: by Retry-After, a number or a date (RFC 9110, 10.2.3), else doubled each attempt."""
    if retry_after is not None:
        try:
            return max(0.0, float(retry_after))
        except ValueError:
            pass
        try:
            return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            pass
    return 0.5 * 2.0**attempt
