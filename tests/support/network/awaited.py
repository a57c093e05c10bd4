"""AsyncClient with the surface of Client: each call is awaited on a loop of its own, so that one suite tests both."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from labelloop import AsyncClient


class Awaited:
    def __init__(self, *args: Any, **named: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncClient(*args, **named)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if not inspect.iscoroutinefunction(method):
            return method

        def call(*args: Any, **named: Any) -> Any:
            return self._runner.run(method(*args, **named))

        return call

    def __enter__(self) -> Awaited:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._runner.close()
