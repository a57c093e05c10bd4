"""Calls: what each method of a client does, step by step, without any input or output.

A call is a generator. It yields a Request or a Pause, and gets the Reply to the request. `Client` and `AsyncClient`
carry the steps out, each in its way, so that both do the same.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

from labelloop.client import wire
from labelloop.client.values import SETTLED, Batch, Outcome, Receipt, Status
from labelloop.client.wire import Pause, Reply, Request
from labelloop.errors import Undecided, Unreachable, UsageError
from labelloop.outputs.output import Output
from labelloop.outputs.reading import read_key
from labelloop.reading.keys import Key, key_text

T = TypeVar("T")
Call: TypeAlias = Generator[Request | Pause, Reply, T]

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 20.0
LONG_POLL_S = 30.0
"""Seconds that the service keeps one request that waits."""
LATE_S = 0.25
"""Seconds beyond a deadline after which a reply is given up, if there is something else to return."""
CLOSE_S = 5.0
"""The same if there is nothing else, and for the request that records the end of a hold."""
MAX_HOLD_S = 10 * 365 * 86_400.0
MAX_KEYS = 500
"""Keys of one request for many outputs."""
NOT_GIVEN: Any = object()
"""No default, and no fallback: None is a value like any other."""


class Calls:
    """The calls of one client: its service, its loop, and its schedule of retries."""

    def __init__(
        self, url: str, loop: str | None, *, timeout_s: float, attempts: int, rng: random.Random | None
    ) -> None:
        self.url = wire.checked_url(url)
        self._loop = loop
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._rng = rng or random.Random()

    def submit(self, lines: Iterable[bytes], loop: str | None, deadline: float = math.inf) -> Call[Receipt]:
        path = f"/v1/loops/{(yield from self._name(loop, deadline))}/outputs"
        receipt = Receipt()
        for chunk in wire.chunks(lines):
            said = yield from self._said("POST", path, deadline, content=chunk, content_type=wire.NDJSON)
            receipt.new += said["new"]
            receipt.known += said["known"]
            for output in said["outputs"]:
                receipt.states[output["state"]] = receipt.states.get(output["state"], 0) + 1
        return receipt

    def get(self, key: Key, loop: str | None) -> Call[Status | None]:
        path = f"{(yield from self._outputs(loop))}/{wire.key_path(read_key(key_text(key)))}"
        return self._status((yield from self._send(lambda _: Request("GET", path, self._timeout_s))))

    def loops(self, deadline: float = math.inf) -> Call[list[str]]:
        return list((yield from self._said("GET", "/v1/loops", deadline))["loops"])

    def labels(self, loop: str | None) -> Call[list[str]]:
        return list((yield from self._said("GET", f"/v1/loops/{(yield from self._name(loop))}", math.inf))["labels"])

    def wait(self, key: str, timeout: float, default: Any, loop: str | None, *, hold: bool = False) -> Call[Any]:
        """Return the status once it is settled; at the deadline `default`, or the status as it is if none is given.

        With `hold` an outcome ends the waiting too.
        """
        deadline = time.monotonic() + _checked(timeout)
        name = read_key(key)
        late_s = CLOSE_S if default is NOT_GIVEN else LATE_S
        try:
            path = f"{(yield from self._outputs(loop, deadline))}/{wire.key_path(name)}/answer?hold={int(hold)}&wait="

            def poll(left_s: float) -> Request:
                wait_s = min(left_s, LONG_POLL_S)
                return Request("GET", f"{path}{wait_s:.3f}", self._limit_s(left_s + late_s, wait_s))

            while True:
                status = self._status((yield from self._send(poll, deadline)))
                if status is None:
                    return Status.unknown(key, loop or self._loop or "")
                if status.is_settled or (hold and status.outcome is not None):
                    return status
                if time.monotonic() >= deadline:
                    return status if default is NOT_GIVEN else default
        except Unreachable:
            if default is NOT_GIVEN:
                raise
            return default

    def wait_many(self, keys: Key | Iterable[Key], timeout: float, loop: str | None, share: float = 1.0) -> Call[Batch]:
        """Return the statuses of all keys once `share` of them is settled, at the latest at the deadline."""
        if not 0 <= share <= 1:
            raise UsageError(f"share must lie between 0 and 1; it is {share!r}")
        deadline = time.monotonic() + _checked(timeout)
        if isinstance(keys, str) or not isinstance(keys, Iterable):
            raise UsageError(f"give several keys as a list; keys is {repr(keys)[:40]}")
        given = {read_key(key_text(key)): key for key in keys}
        found: dict[str, Status] = {}
        enough = math.ceil(share * len(given) - 1e-9)
        path = f"/v1/loops/{(yield from self._name(loop, deadline))}/answers"
        is_first = True
        while len(found) < enough and (is_first or time.monotonic() < deadline):
            chunks = list(_parts([key for key in given if key not in found]))
            # Several requests share the time of one poll. The first round takes what is settled already.
            wait_s = 0.0 if is_first and len(chunks) > 1 else max(1.0, LONG_POLL_S / len(chunks))
            for chunk in chunks:
                if is_first or time.monotonic() < deadline:
                    found |= yield from self._ask(path, chunk, wait_s, deadline, settled_only=True)
            is_first = False
        last = max(deadline, time.monotonic() + CLOSE_S)
        for chunk in _parts([key for key in given if key not in found]):
            found |= yield from self._ask(path, chunk, 0.0, last, settled_only=False)
        statuses = {key: found[name] for name, key in given.items()}
        return Batch(statuses, sum(status.is_settled for status in statuses.values()) >= enough)

    def decide(
        self, what: Key | Output | Mapping[str, Any], timeout: float, fallback: Any, loop: str | None
    ) -> Call[Outcome]:
        deadline = time.monotonic() + _checked(timeout, MAX_HOLD_S)
        closing: dict[str, Any] = {"deadline_at": (datetime.now(UTC) + timedelta(seconds=timeout)).isoformat()}
        if fallback is not NOT_GIVEN:
            closing["fallback"] = fallback
        content = wire.body(closing)  # a fallback that is no JSON is refused before the wait, not after it
        if isinstance(named := key_text(what), str):
            key = read_key(named)
            status = yield from self.wait(key, timeout, None, loop, hold=True)
        else:
            line = wire.line(what)  # type: ignore[arg-type]  # it refuses what is neither
            receipt = yield from self.submit([line], loop, deadline)
            key = read_key(json.loads(line)["key"])
            status = None
            if not SETTLED.issuperset(receipt.states):  # else nothing is waited for: that saves a request
                left_s = max(0.0, deadline - time.monotonic())  # the submit may end behind the deadline
                status = yield from self.wait(key, left_s, None, loop, hold=True)
        if status is None or status.outcome is None:
            path = f"{(yield from self._outputs(loop))}/{wire.key_path(key)}/outcome"
            until = max(deadline, time.monotonic()) + CLOSE_S
            said = yield from self._said("POST", path, until, content=content, content_type=wire.JSON)
            status = Status.read(said)
        if status.outcome.kind == "undecided":
            raise Undecided(f"output {key!r}: nobody decided before the deadline, and no fallback was declared")
        return status.outcome  # type: ignore[no-any-return]

    def give_feedback(
        self, key: Key, reviewer: str, approval: bool, correction: Any, comment: str | None, loop: str | None
    ) -> Call[bool]:
        said = {"key": read_key(key_text(key)), "reviewer_id": reviewer, "approval": approval}
        content = wire.body({**said, "correction": correction, "comment": comment})
        path = f"/v1/loops/{(yield from self._name(loop))}/feedback"
        return bool((yield from self._said("POST", path, math.inf, content=content))["new"])

    def retract_feedback(self, key: Key, reviewer: str, loop: str | None) -> Call[bool]:
        query = urlencode({"key": read_key(key_text(key)), "reviewer_id": reviewer})
        path = f"/v1/loops/{(yield from self._name(loop))}/feedback?{query}"
        return bool((yield from self._said("DELETE", path, math.inf))["new"])

    def _ask(
        self, path: str, keys: Sequence[str], wait_s: float, deadline: float, *, settled_only: bool
    ) -> Call[dict[str, Status]]:
        """Return the statuses of some keys by key; a key without an output is `unknown`."""

        def ask(left_s: float) -> Request:
            seconds = round(min(wait_s, left_s), 3)
            content = wire.body({"keys": keys, "wait": seconds, "settled_only": settled_only})
            return Request("POST", path, self._limit_s(left_s + CLOSE_S, seconds), content)

        said = wire.answer(self.url, (yield from self._send(ask, deadline)))
        found = {status["key"]: Status.read(status) for status in said["outputs"]}
        return found | {key: Status.unknown(key, said["loop"]) for key in said["unknown"]}

    def _status(self, reply: Reply) -> Status | None:
        if reply.status == 404 and reply.said.get("path") == "key":
            return None
        return Status.read(wire.answer(self.url, reply))

    def _outputs(self, loop: str | None, deadline: float = math.inf) -> Call[str]:
        return f"/v1/loops/{(yield from self._name(loop, deadline))}/outputs"

    def _name(self, loop: str | None, deadline: float = math.inf) -> Call[str]:
        """Return the loop's name, quoted for a path."""
        name = loop or self._loop
        if name is None:
            known = yield from self.loops(deadline)
            if len(known) != 1:
                raise UsageError(f"name a loop; there are: {', '.join(known) or 'none'}")
            name = self._loop = known[0]
        return quote(name, safe="")

    def _said(
        self, method: str, path: str, deadline: float, content: bytes | None = None, content_type: str = wire.JSON
    ) -> Call[dict[str, Any]]:
        """Send a request and return the JSON of its success."""

        def make(left_s: float) -> Request:
            return Request(method, path, self._limit_s(left_s + LATE_S, 0.0), content, content_type)

        return wire.answer(self.url, (yield from self._send(make, deadline)))

    def _limit_s(self, left_s: float, wait_s: float) -> float:
        """Return the seconds after which a request has failed, if the service may keep it for `wait_s` seconds and
        `left_s` are left in any case.
        """
        return min(self._timeout_s + wait_s, left_s)

    def _send(self, make: Callable[[float], Request], deadline: float = math.inf) -> Call[Reply]:
        """Send a request and return the reply. It retries while the service is down: because of the keys, a second
        POST changes nothing.

        With a deadline it retries until then, else `attempts` times. `make` gets the seconds that are left.
        """
        for attempt in range(self._attempts if deadline == math.inf else 1 << 30):
            reply = yield make(max(0.0, deadline - time.monotonic()))
            if not reply.is_away:
                return reply
            tries, left = attempt + 1, deadline - time.monotonic()
            if left <= 0 or (deadline == math.inf and tries == self._attempts):
                break
            growing = self._rng.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempt, 10)))
            yield Pause(min(max(growing, reply.retry_after_s), left))
        raise Unreachable(f"the intake at {self.url} does not answer after {tries} attempts: {reply.problem}")


def _checked(timeout: float, most: float = math.inf) -> float:
    if not 0 <= timeout <= most:
        raise UsageError(f"timeout must be a number of seconds from 0 to {most:g}; it is {timeout!r}")
    return timeout


def _parts(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    return (keys[start : start + MAX_KEYS] for start in range(0, len(keys), MAX_KEYS))
