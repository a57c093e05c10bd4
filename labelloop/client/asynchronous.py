"""The client for programs with an event loop: the methods of Client, to be awaited."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

from labelloop.client import wire
from labelloop.client.blocking import arguments, refuse_default, reply_of, seconds_of
from labelloop.client.calls import NOT_GIVEN, Call, Calls
from labelloop.client.frame import rows
from labelloop.client.place import found
from labelloop.client.values import Batch, Outcome, Receipt, Status
from labelloop.client.wire import Pause, Reply, Request
from labelloop.outputs.output import Output
from labelloop.reading.keys import Key, key_text

T = TypeVar("T")
K = TypeVar("K", bound=Key)


class AsyncClient:
    """A client of the sync service for asyncio. Arguments, methods and errors are those of Client.

    async with AsyncClient(url, token) as client:
        await client.submit(outputs)
        status = await client.wait("ticket/17", timeout=60, default=None)
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        loop: str | None = None,
        timeout_s: float = 60.0,
        attempts: int = 8,
        sleep: Callable[[float], Awaitable[object]] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        url, token = found(url, token)
        self._calls = Calls(url, loop, timeout_s=timeout_s, attempts=attempts, rng=rng)
        import asyncio  # like httpx, only loaded where a client is made

        import httpx

        self.url = self._calls.url
        self._sleep = sleep or asyncio.sleep
        # Each waiting call keeps its connection, and there may be any number of them.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._http = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, limits=limits)
        self._failures = httpx.TransportError

    async def submit(
        self, outputs: Output | Mapping[str, Any] | Iterable[Output | Mapping[str, Any]], loop: str | None = None
    ) -> Receipt:
        """Submit one output, or any iterable of them: see Client.submit."""
        return await self._run(self._calls.submit(wire.lines(outputs), loop))

    async def submit_lines(self, lines: Iterable[bytes], loop: str | None = None) -> Receipt:
        """Submit NDJSON lines: see Client.submit_lines."""
        return await self._run(self._calls.submit(wire.checked_lines(lines), loop))

    async def submit_frame(
        self,
        frame: Any,
        *,
        key: str,
        data: Sequence[str] | Mapping[str, str] | None = None,
        label: str | None = None,
        confidence: str | None = None,
        probabilities: Sequence[str] | Mapping[str, str] | None = None,
        group: str | None = None,
        model_version: str = "",
        loop: str | None = None,
    ) -> Receipt:
        """Submit the rows of a DataFrame: see Client.submit_frame."""
        outputs = rows(
            frame, key=key, data=data, label=label, confidence=confidence, probabilities=probabilities, group=group,
            model_version=model_version,
        )  # fmt: skip
        return await self.submit(outputs, loop)

    async def get(self, key: Key, loop: str | None = None) -> Status | None:
        """Return the state of this output; None if no output has this key."""
        return await self._run(self._calls.get(key, loop))

    @overload
    async def wait(  # type: ignore[overload-overlap]  # a text is an iterable of texts too
        self, keys: Key, timeout: float | None = None, loop: str | None = None, *, timeout_s: float | None = None
    ) -> Status: ...

    @overload
    async def wait(
        self,
        keys: Key,
        timeout: float | None = None,
        loop: str | None = None,
        *,
        default: T,
        timeout_s: float | None = None,
    ) -> Status | T: ...

    @overload
    async def wait(
        self,
        keys: Iterable[K],
        timeout: float | None = None,
        loop: str | None = None,
        *,
        timeout_s: float | None = None,
    ) -> dict[K, Status]: ...

    async def wait(
        self,
        keys: Key | Iterable[Key],
        timeout: float | None = None,
        loop: str | None = None,
        *,
        default: Any = NOT_GIVEN,
        timeout_s: float | None = None,
    ) -> Any:
        """Wait until people have answered one key or several: see Client.wait."""
        seconds = seconds_of(timeout, timeout_s)
        if isinstance(one := key_text(keys), str):
            return await self._run(self._calls.wait(one, seconds, default, loop))
        refuse_default(default)
        return dict((await self._run(self._calls.wait_many(keys, seconds, loop))).statuses)

    async def wait_batch(
        self, keys: Iterable[Key], *, share: float = 1.0, timeout: float, loop: str | None = None
    ) -> Batch:
        """Wait until a share of these outputs is settled: see Client.wait_batch."""
        return await self._run(self._calls.wait_many(keys, timeout, loop, share))

    async def decide(
        self,
        output: Key | Output | Mapping[str, Any],
        *,
        timeout: float,
        fallback: Any = NOT_GIVEN,
        loop: str | None = None,
    ) -> Outcome:
        """Hold an output until people have decided, and return the one outcome that it has: see Client.decide."""
        return await self._run(self._calls.decide(output, timeout, fallback, loop))

    async def give_feedback(
        self,
        key: Key,
        reviewer: str,
        approval: bool,
        *,
        correction: Any = None,
        comment: str | None = None,
        loop: str | None = None,
    ) -> bool:
        """Store the answer of a reviewer: see Client.give_feedback."""
        return await self._run(self._calls.give_feedback(key, reviewer, approval, correction, comment, loop))

    async def retract_feedback(self, key: Key, reviewer: str, loop: str | None = None) -> bool:
        """Take back an answer: see Client.retract_feedback."""
        return await self._run(self._calls.retract_feedback(key, reviewer, loop))

    async def loops(self) -> list[str]:
        """Return the names of the loops of the service."""
        return await self._run(self._calls.loops())

    async def labels(self, loop: str | None = None) -> list[str]:
        """Return the labels of the loop's form."""
        return await self._run(self._calls.labels(loop))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, call: Call[T]) -> T:
        """Carry out the steps of a call."""
        try:
            step = next(call)
            while True:
                step = call.send(await self._reply(step))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    async def _reply(self, step: Request | Pause) -> Reply:
        if isinstance(step, Pause):
            await self._sleep(step.seconds)
            return Reply(0, "")
        try:
            return reply_of(await self._http.request(**arguments(self.url, step)))
        except self._failures as exc:
            return Reply(0, str(exc) or type(exc).__name__)
