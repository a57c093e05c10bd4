"""Client: submit a pipeline's outputs, and read people's answers.

    with Client(url, token) as client:
        client.submit(Output(key=f"ticket/{t.id}", data={"text": t.text}, probabilities=p) for t, p in scored)

An output is identified by its key, so submitting it twice counts once. Every call here may be repeated, and the client
retries by itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from labelloop.errors import Conflict, InvalidOutput, LabelloopError, Unreachable, UsageError
from labelloop.outputs.output import Output
from labelloop.outputs.reading import MAX_KEY, parse, read_key
from labelloop.reading import strict_json
from labelloop.reading.plain import plain

if TYPE_CHECKING:
    import httpx  # takes longer to import than all of ours: loaded when the first Client is made

CHUNK_LINES = 500
CHUNK_BYTES = 4 << 20
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 20.0
SETTLED = frozenset({"answered", "passed", "quarantined", "withdrawn"})
"""States after which no answer will come."""


@dataclass(slots=True)
class Receipt:
    """Result of a submit."""

    new: int = 0
    known: int = 0
    """Number of outputs submitted before, with the same body."""
    states: dict[str, int] = field(default_factory=dict)
    """Number of outputs by their current state: passed, waiting, in_review, answered, ..."""


@dataclass(frozen=True, slots=True)
class Status:
    """State of an output, and people's answers."""

    key: str
    id: str
    loop: str
    state: str
    """One of passed (nobody reviews it), waiting, pushing, in_review, answered, quarantined, withdrawn."""
    lane: str
    model_label: str | None = None
    model_confidence: float | None = None
    model_version: str = ""
    source: str | None = None
    """As submitted, like `trace` and `step`; None if the output did not say."""
    trace: str | None = None
    step: str | None = None
    rests_on: tuple[dict[str, str | None], ...] = ()
    """The corrected earlier steps of its trace: {"loop", "key", "step", "label", "correction"}. `correction` is None if
    people only rejected the label.
    """
    spec_version: int | None = None
    """Number of the version of the loop's spec that decided whether people see it."""
    label: str | None = None
    """The final label; None if there is none yet, or if people do not agree."""
    approval: bool | None = None
    """Whether the model's label is correct."""
    correction: str | None = None
    """The final label, if it differs from the model's."""
    comments: tuple[str, ...] = ()
    agreement: float | None = None
    """Share of the reviewers that gave the label, 0 to 1."""
    reviewers: int = 0
    unreadable: tuple[str, ...] = ()
    """Reasons why answers cannot be read and do not count, one for each such answer."""
    received_at: str = ""
    answered_at: str | None = None

    @property
    def is_settled(self) -> bool:
        return self.state in SETTLED


class Client:
    """A client of the sync service at `url`. `loop` is optional if the service has only one.

    Raises InvalidOutput and Conflict with the output's key, Unreachable after `attempts`, and UsageError for a wrong
    token or loop. If the service is down or busy (no connection, 429, 5xx), the client retries after a random pause
    that grows, or after the time in Retry-After.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        loop: str | None = None,
        timeout_s: float = 60.0,
        attempts: int = 8,
        sleep: Callable[[float], None] = time.sleep,
        rng: random.Random | None = None,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"url must begin with http:// or https://; it is {url!r}")
        import httpx

        self.url = url.rstrip("/")
        self._loop = loop
        self._attempts = attempts
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._http = httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=timeout_s)

    def submit(
        self, outputs: Output | Mapping[str, Any] | Iterable[Output | Mapping[str, Any]], loop: str | None = None
    ) -> Receipt:
        """Submit one output, or any iterable of them, which is read lazily. Each one is checked before it is sent.

        Values of numpy, pandas, datetime and Decimal are converted (reading/plain.py). If one output is refused, those
        before it are already stored: correct it and submit all of them again.
        """
        several = [outputs] if isinstance(outputs, Output | Mapping) else outputs
        return self._submit((_line(output) for output in several), loop)

    def submit_lines(self, lines: Iterable[bytes], loop: str | None = None) -> Receipt:
        """Submit NDJSON lines, such as a file opened in binary mode: one output a line. Blank lines are skipped."""
        return self._submit(_checked(lines), loop)

    def get(self, key: str, loop: str | None = None) -> Status | None:
        """Return the state of this output; None if no output has this key. Raises InvalidOutput for an invalid key."""
        key = read_key(key)
        # Dots are encoded too: a key may hold "..", which every HTTP client would resolve.
        path = f"/v1/loops/{self._name(loop)}/outputs/{quote(key, safe='').replace('.', '%2E')}"
        response = self._send("GET", path)
        if response.status_code == 404 and _json(response).get("path") == "key":
            return None
        said = self._answer(response)
        for several in ("comments", "unreadable", "rests_on"):
            said[several] = tuple(said.get(several, ()))
        return Status(**{name: said[name] for name in _STATUS_FIELDS if name in said})

    def wait(
        self, keys: Iterable[str], timeout_s: float, loop: str | None = None, every_s: float = 1.0
    ) -> dict[str, Status]:
        """Wait until each of these outputs is answered, or will not be reviewed, but at most `timeout_s` seconds.

        Returns the state of each by its key; `is_settled` is True for those that need no more waiting. Keys without an
        output are left out.
        """
        deadline = time.monotonic() + timeout_s
        statuses: dict[str, Status] = {}
        open_ = list(dict.fromkeys(keys))
        while open_:
            for key in open_:
                status = self.get(key, loop)
                if status is not None:
                    statuses[key] = status
            open_ = [key for key in open_ if key not in statuses or not statuses[key].is_settled]
            left = deadline - time.monotonic()
            if not open_ or left <= 0:
                break
            self._sleep(min(every_s, left))
        return statuses

    def loops(self) -> list[str]:
        """Return the names of the loops of the service."""
        return list(self._answer(self._send("GET", "/v1/loops"))["loops"])

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submit(self, lines: Iterable[bytes], loop: str | None) -> Receipt:
        path = f"/v1/loops/{self._name(loop)}/outputs"
        receipt = Receipt()
        for chunk in _chunks(lines):
            said = self._answer(self._send("POST", path, chunk))
            receipt.new += said["new"]
            receipt.known += said["known"]
            for output in said["outputs"]:
                receipt.states[output["state"]] = receipt.states.get(output["state"], 0) + 1
        return receipt

    def _name(self, loop: str | None) -> str:
        """Return the loop's name, quoted for a path."""
        name = loop or self._loop
        if name is None:
            known = self.loops()
            if len(known) != 1:
                raise UsageError(f"name a loop; there are: {', '.join(known) or 'none'}")
            name = self._loop = known[0]
        return quote(name, safe="")

    def _send(self, method: str, path: str, content: bytes | None = None) -> httpx.Response:
        """Send a request and return the response. It retries while the service is down: because of the keys, a second
        POST changes nothing.
        """
        from httpx import TransportError

        headers = {} if content is None else {"Content-Type": "application/x-ndjson"}
        for attempt in range(self._attempts):
            pause_s = self._rng.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt))
            try:
                response = self._http.request(method, self.url + path, content=content, headers=headers)
            except TransportError as exc:
                problem = str(exc) or type(exc).__name__
            else:
                if response.status_code != 429 and response.status_code < 500:
                    return response
                problem = f"status {response.status_code}: {_json(response).get('error', response.text[:200])}"
                pause_s = max(pause_s, _seconds(response.headers.get("Retry-After")))
            if attempt + 1 < self._attempts:
                self._sleep(pause_s)
        raise Unreachable(f"the intake at {self.url} does not answer after {self._attempts} attempts: {problem}")

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        said = _json(response)
        if response.is_success and said:
            return said
        raise self._error(response.status_code, said)

    def _error(self, status: int, said: Mapping[str, Any]) -> LabelloopError:
        message = str(said.get("error") or f"answered {status}")
        path = str(said.get("path") or "")
        if status == 409:
            return Conflict(message)
        if status in (413, 422):
            key = f" (output {said['key']!r})" if said.get("key") else ""
            return InvalidOutput(path, message.removeprefix(f"{path}: ") + key, status=status)
        if status == 401:
            return UsageError(f"the intake at {self.url} refuses the token")
        return UsageError(f"the intake at {self.url}: {message}")


_STATUS_FIELDS = tuple(f.name for f in fields(Status))


def _line(output: Output | Mapping[str, Any]) -> bytes:
    """Return the output as one line of NDJSON. Raises InvalidOutput with the key."""
    if not isinstance(output, Output | Mapping):  # such as a DataFrame, which iterates over its column names
        raise InvalidOutput("", f"must be an Output or a mapping, not {type(output).__name__} ({str(output)[:40]!r})")
    said = output.to_json() if isinstance(output, Output) else output
    try:
        line = strict_json.dumps(plain(said)).encode()
        parse(line)
    except InvalidOutput as exc:
        raise _named(exc, f"output {str(said.get('key'))[:MAX_KEY]!r}") from None
    except UnicodeEncodeError:
        raise InvalidOutput("", f"holds half of a surrogate pair (output {str(said.get('key'))[:MAX_KEY]!r})") from None
    return line


def _checked(lines: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                parse(line)
            except InvalidOutput as exc:
                raise _named(exc, f"line {number}") from None
            yield line.rstrip(b"\r\n")


def _named(exc: InvalidOutput, name: str) -> InvalidOutput:
    return InvalidOutput(exc.path, f"{str(exc).removeprefix(f'{exc.path}: ')} ({name})", status=exc.status)


def _chunks(lines: Iterable[bytes]) -> Iterator[bytes]:
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and (len(chunk) >= CHUNK_LINES or size + len(line) >= CHUNK_BYTES):
            yield b"\n".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield b"\n".join(chunk)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        said = response.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _seconds(retry_after: str | None) -> float:
    """Return the seconds in Retry-After, at most a minute; 0 if it is a date or missing."""
    return min(float(retry_after), 60.0) if retry_after and retry_after.isdecimal() else 0.0
