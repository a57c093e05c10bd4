"""Requests with one deadline for the whole head of an answer.

The limits of httpx count between two bytes, so a server that sends single bytes never exceeds them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

CONNECTIONS, KEPT, KEPT_FOR_S = 100, 20, 5.0
"""Connections at the same time, idle ones among them, and seconds for which those are kept: the defaults of httpx."""
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
"""Time of time.monotonic() at which each read of this thread ends. None for no deadline."""


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Let each read inside end by then, whatever its own limit. A read after it raises httpx.ReadTimeout."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


class Transport(httpx.HTTPTransport):
    """Like httpx.HTTPTransport without a proxy; its reads obey `until`."""

    def __init__(self) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.ConnectionPool(  # in place of the one without our backend
            ssl_context=context,
            max_connections=CONNECTIONS,
            max_keepalive_connections=KEPT,
            keepalive_expiry=KEPT_FOR_S,
            network_backend=_Backend(),
        )


class _Backend(httpcore.SyncBackend):
    def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(*args, **kwargs))


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (deadline := _deadline.get()) is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise httpcore.ReadTimeout("the deadline is over")
            timeout = left if timeout is None else min(left, timeout)
        return self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(*args, **kwargs))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
