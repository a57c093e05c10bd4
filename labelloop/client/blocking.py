"""The client for programs that may block."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

from labelloop.client import wire
from labelloop.client.background import Background
from labelloop.client.calls import NOT_GIVEN, Call, Calls
from labelloop.client.frame import rows
from labelloop.client.place import found
from labelloop.client.values import Batch, Outcome, Receipt, Status
from labelloop.client.wire import Pause, Reply, Request
from labelloop.errors import UsageError
from labelloop.outputs.output import Output
from labelloop.reading.keys import Key, key_text

if TYPE_CHECKING:
    import httpx  # takes longer to import than all of ours: loaded when the first Client is made

T = TypeVar("T")
K = TypeVar("K", bound=Key)


class Client:
    """A client of the sync service at `url`. `loop` is optional if the service has only one.

    Without `url` and `token` they are read from LABELLOOP_SYNC_URL and LABELLOOP_INTAKE_TOKEN, else from the data
    folder of a `labelloop up` on this machine.

    Raises InvalidOutput and Conflict with the output's key, Unreachable after `attempts`, and UsageError for a wrong
    token or loop. If the service is down or busy (no connection, 429, 5xx), the client retries after a random pause
    that grows, or after the time in Retry-After.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        loop: str | None = None,
        timeout_s: float = 60.0,
        attempts: int = 8,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        url, token = found(url, token)
        self._calls = Calls(url, loop, timeout_s=timeout_s, attempts=attempts, rng=rng)
        import httpx

        self.url = self._calls.url
        self._sleep = sleep
        self._open: Callable[[], httpx.Client] = lambda: httpx.Client(headers={"Authorization": f"Bearer {token}"})
        self._http, self._process = self._open(), os.getpid()
        self._failures = httpx.TransportError

    @classmethod
    def background(
        cls,
        url: str | None = None,
        token: str | None = None,
        *,
        loop: str | None = None,
        max_pending: int = 10_000,
        raise_when_full: bool = False,
        flush_s: float = 5.0,
    ) -> Background:
        """Return a sender for code that must never wait for the service, such as a web request: see Background."""
        url, token = found(url, token)
        wire.checked_url(url)
        return Background(
            lambda: cls(url, token, loop=loop, timeout_s=10.0, attempts=1),
            max_pending=max_pending,
            raise_when_full=raise_when_full,
            flush_s=flush_s,
        )

    def submit(
        self, outputs: Output | Mapping[str, Any] | Iterable[Output | Mapping[str, Any]], loop: str | None = None
    ) -> Receipt:
        """Submit one output, or any iterable of them, which is read lazily. Each one is checked before it is sent.

        Values of numpy, pandas, datetime and Decimal are converted (reading/plain.py). If one output is refused, those
        before it are already stored: correct it and submit all of them again.
        """
        return self._run(self._calls.submit(wire.lines(outputs), loop))

    def submit_lines(self, lines: Iterable[bytes], loop: str | None = None) -> Receipt:
        """Submit NDJSON lines, such as a file opened in binary mode: one output a line. Blank lines are skipped."""
        return self._run(self._calls.submit(wire.checked_lines(lines), loop))

    def submit_frame(
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
        """Submit the rows of a DataFrame (pandas, polars, or anything with `columns` whose columns are lists).

        Every argument except `model_version` and `loop` names columns. `data` is a list of columns, or maps fields to
        columns; None takes all columns that nothing else uses. `probabilities` is a list of columns named like the
        labels, or maps labels to columns. A missing value in `data` becomes null. Raises UsageError for a column that
        is not in the frame.
        """
        outputs = rows(
            frame, key=key, data=data, label=label, confidence=confidence, probabilities=probabilities, group=group,
            model_version=model_version,
        )  # fmt: skip
        return self.submit(outputs, loop)

    def get(self, key: Key, loop: str | None = None) -> Status | None:
        """Return the state of this output; None if no output has this key. An integer is the same key as its text.

        Raises InvalidOutput for an invalid key.
        """
        return self._run(self._calls.get(key, loop))

    @overload
    def wait(  # type: ignore[overload-overlap]  # a text is an iterable of texts too
        self, keys: Key, timeout: float | None = None, loop: str | None = None, *, timeout_s: float | None = None
    ) -> Status: ...

    @overload
    def wait(
        self,
        keys: Key,
        timeout: float | None = None,
        loop: str | None = None,
        *,
        default: T,
        timeout_s: float | None = None,
    ) -> Status | T: ...

    @overload
    def wait(
        self,
        keys: Iterable[K],
        timeout: float | None = None,
        loop: str | None = None,
        *,
        timeout_s: float | None = None,
    ) -> dict[K, Status]: ...

    def wait(
        self,
        keys: Key | Iterable[Key],
        timeout: float | None = None,
        loop: str | None = None,
        *,
        default: Any = NOT_GIVEN,
        timeout_s: float | None = None,
    ) -> Any:
        """Wait until people have answered, but at most `timeout` seconds (`timeout_s` is another name for it).

        A text, an integer or a UUID is one key: returns its Status once it is settled. At the deadline it returns
        `default` if that is given, also if the service does not answer; else the Status as it is.

        Without a default it raises Unreachable if the service does not answer until 5 seconds after the deadline.

        Several keys: returns the Status of each by its key. `is_settled` is True for those that need no more waiting.

        A key that nobody submitted is settled at once, in the state `unknown`. An output about which no person is asked
        (`will_be_asked` is False) is settled at once too.
        """
        seconds = seconds_of(timeout, timeout_s)
        if isinstance(one := key_text(keys), str):
            return self._run(self._calls.wait(one, seconds, default, loop))
        refuse_default(default)
        return dict(self._run(self._calls.wait_many(keys, seconds, loop)).statuses)

    def wait_batch(self, keys: Iterable[Key], *, share: float = 1.0, timeout: float, loop: str | None = None) -> Batch:
        """Wait until `share` (0 to 1) of these outputs is settled, but at most `timeout` seconds."""
        return self._run(self._calls.wait_many(keys, timeout, loop, share))

    def decide(
        self,
        output: Key | Output | Mapping[str, Any],
        *,
        timeout: float,
        fallback: Any = NOT_GIVEN,
        loop: str | None = None,
    ) -> Outcome:
        """Hold an output until people have decided, at most `timeout` seconds, and return the one outcome that it has.

        `output` is the key of a submitted output, or an output that is submitted first. The outcome is the label on
        which people agree, or the pipeline's own label if no person is asked. Else it is `fallback` (any JSON value).
        The service stores it: every later call, with any fallback, returns the same outcome.

        Raises Undecided if there is neither an answer nor a fallback, and Unreachable if the service cannot record the
        outcome within 5 seconds after the deadline. In both cases do not continue with the item.
        """
        return self._run(self._calls.decide(output, timeout, fallback, loop))

    def give_feedback(
        self,
        key: Key,
        reviewer: str,
        approval: bool,
        *,
        correction: Any = None,
        comment: str | None = None,
        loop: str | None = None,
    ) -> bool:
        """Store the answer of a reviewer who was not asked by Label Studio; False if it was stored before.

        `correction` is the correct answer if the output is not approved, in the form of an output's `label`.
        """
        return self._run(self._calls.give_feedback(key, reviewer, approval, correction, comment, loop))

    def retract_feedback(self, key: Key, reviewer: str, loop: str | None = None) -> bool:
        """Take back an answer of `give_feedback`; False if that was done before.

        Raises UsageError if the reviewer never gave one, or gave it in Label Studio, where it is to be deleted.
        """
        return self._run(self._calls.retract_feedback(key, reviewer, loop))

    def loops(self) -> list[str]:
        """Return the names of the loops of the service."""
        return self._run(self._calls.loops())

    def labels(self, loop: str | None = None) -> list[str]:
        """Return the labels of the loop's form."""
        return self._run(self._calls.labels(loop))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: Call[T]) -> T:
        """Carry out the steps of a call."""
        try:
            step = next(call)
            while True:
                step = call.send(self._reply(step))
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def _reply(self, step: Request | Pause) -> Reply:
        if isinstance(step, Pause):
            self._sleep(step.seconds)
            return Reply(0, "")
        if self._process != os.getpid():  # a forked process must not read the replies to its parent
            self._http, self._process = self._open(), os.getpid()
        try:
            return reply_of(self._http.request(**arguments(self.url, step)))
        except self._failures as exc:
            return Reply(0, str(exc) or type(exc).__name__)


def arguments(url: str, step: Request) -> dict[str, Any]:
    """Return the arguments of a request for httpx."""
    headers = {} if step.content is None else {"Content-Type": step.content_type}
    return {
        "method": step.method,
        "url": url + step.path,
        "content": step.content,
        "headers": headers,
        "timeout": step.timeout_s,
    }


def reply_of(response: httpx.Response) -> Reply:
    return Reply(response.status_code, response.text, response.headers.get("Retry-After"))


def seconds_of(timeout: float | None, timeout_s: float | None) -> float:
    """Return the one of both names that is given. Raises UsageError for none or both."""
    given = [seconds for seconds in (timeout, timeout_s) if seconds is not None]
    if not given:
        raise UsageError("wait needs timeout, the seconds to wait at most, such as timeout=60")
    if len(given) != 1:
        raise UsageError("give the time to wait once, as timeout (in seconds)")
    return given[0]


def refuse_default(default: object) -> None:
    if default is not NOT_GIVEN:
        raise UsageError("default is for one key; with several keys look at is_settled of each status")
