"""Wire: requests, replies, lines and errors of the service, without any input or output."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from labelloop.errors import Conflict, InvalidOutput, LabelloopError, UsageError
from labelloop.outputs.output import Output
from labelloop.outputs.reading import MAX_KEY, parse
from labelloop.reading import strict_json
from labelloop.reading.keys import key_text
from labelloop.reading.plain import plain

CHUNK_LINES = 500
CHUNK_BYTES = 4 << 20
JSON, NDJSON = "application/json", "application/x-ndjson"
NO_ROUTE = "The requested URL was not found on the server"
"""Words of a service of ours for a path that it does not have: the ML backend, or an intake behind a path."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send; `timeout_s` is the time without a byte after which it has failed."""

    method: str
    path: str
    timeout_s: float
    content: bytes | None = None
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds to sleep before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """The response to a request, or the reason why there is none."""

    status: int
    """0 if there is no response."""
    text: str
    """The body; without a response, the problem of the connection."""
    retry_after: str | None = None

    @property
    def is_away(self) -> bool:
        """Whether the service is down or busy, so that the same request may succeed later."""
        return self.status in (0, 429) or self.status >= 500

    @property
    def said(self) -> dict[str, Any]:
        """Return the JSON object of the body; empty if it is anything else."""
        try:
            said = json.loads(self.text) if self.status else {}
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    @property
    def problem(self) -> str:
        if not self.status:
            return self.text
        return f"status {self.status}: {words(self.said) or self.text[:200]}"

    @property
    def retry_after_s(self) -> float:
        """Return the seconds in Retry-After, at most a minute; 0 if it is a date or missing."""
        return min(float(self.retry_after), 60.0) if self.retry_after and self.retry_after.isdecimal() else 0.0


def checked_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"url must begin with http:// or https://; it is {url!r}")
    return url.rstrip("/")


def key_path(key: str) -> str:
    # Dots are encoded too: a key may hold "..", which every HTTP client would resolve.
    return quote(key, safe="").replace(".", "%2E")


def answer(url: str, reply: Reply) -> dict[str, Any]:
    """Return the JSON of a successful reply, or raise the error that it stands for."""
    said = reply.said
    if 200 <= reply.status < 300 and said:
        return said
    raise error(url, reply.status, said)


def _others(said: Mapping[str, Any], first: int | None) -> Iterator[tuple[int, str]]:
    """Yield the wrong lines after the first, each with its reason."""
    problems = said.get("problems")
    for one in problems if isinstance(problems, list) else []:
        if isinstance(one, dict) and isinstance(one.get("line"), int) and one["line"] != first:
            key = f" (output {one['key']!r})" if one.get("key") else ""
            yield one["line"], f"{one.get('detail')}{key}"


def error(url: str, status: int, said: Mapping[str, Any]) -> LabelloopError:
    message = words(said) or f"answered {status}"
    path = str(said.get("path") or "")
    if status == 409:
        return Conflict(message)
    if status in (413, 422):
        key = f" (output {said['key']!r})" if said.get("key") else ""
        line = said["line"] if isinstance(said.get("line"), int) else None
        reason = message.removeprefix(f"{path}: ") + key
        return InvalidOutput(path, reason, status=status, line=line, others=list(_others(said, line)))
    is_problem = "error" in said or said.get("status") == status  # an earlier labelloop, or RFC 9457
    if not is_problem or message.startswith(NO_ROUTE):
        return UsageError(
            f"{url} answers {status} and is not the intake (`labelloop up` prints the intake's address; it is "
            "LABELLOOP_SYNC_URL in settings.env)"
        )
    if status == 401:
        return UsageError(f"the intake at {url} refuses the token")
    return UsageError(f"the intake at {url}: {message}")


def line(output: Output | Mapping[str, Any], number: int = 1) -> bytes:
    """Return the output as one line of NDJSON. Raises InvalidOutput with its key, or with its number if it has none."""
    if not isinstance(output, Output | Mapping):
        raise InvalidOutput("", f"must be an Output or a mapping, not {type(output).__name__} ({str(output)[:40]!r})")
    said = output.to_json() if isinstance(output, Output) else output
    if "key" in said and type(said["key"]) is not str:
        said = {**said, "key": key_text(said["key"])}
    try:
        encoded = strict_json.dumps(plain(said)).encode()
        parse(encoded)
    except InvalidOutput as exc:
        raise _named(exc, _name(said.get("key"), number)) from None
    except UnicodeEncodeError:
        raise InvalidOutput("", f"holds half of a surrogate pair ({_name(said.get('key'), number)})") from None
    return encoded


def _name(key: object, number: int) -> str:
    return f"output number {number}" if key is None else f"output {str(key)[:MAX_KEY]!r}"


def lines(outputs: Output | Mapping[str, Any] | Iterable[Output | Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield a line for one output, or for each of several. A DataFrame, a text or a number raises UsageError."""
    if hasattr(outputs, "columns"):  # it iterates over the names of its columns
        raise UsageError(
            "submit takes outputs; for the rows of a DataFrame use submit_frame(frame, key=..., label=...)"
        )
    several = [outputs] if isinstance(outputs, Output | Mapping) else outputs
    if isinstance(several, str | bytes) or not isinstance(several, Iterable):
        raise UsageError(f"submit takes an Output, a mapping, or an iterable of them; it is {repr(outputs)[:60]}")
    return (line(output, number) for number, output in enumerate(several, start=1))


def checked_lines(given: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that are not blank. Raises InvalidOutput with the number of a line."""
    for number, raw in enumerate(given, start=1):
        if raw.strip():
            try:
                parse(raw)
            except InvalidOutput as exc:
                raise _named(exc, f"line {number}") from None
            yield raw.rstrip(b"\r\n")


def chunks(given: Iterable[bytes]) -> Iterator[bytes]:
    """Join the lines to bodies of at most CHUNK_LINES lines and about CHUNK_BYTES bytes."""
    chunk: list[bytes] = []
    size = 0
    for one in given:
        if chunk and (len(chunk) >= CHUNK_LINES or size + len(one) >= CHUNK_BYTES):
            yield b"\n".join(chunk)
            chunk, size = [], 0
        chunk.append(one)
        size += len(one) + 1
    if chunk:
        yield b"\n".join(chunk)


def body(value: Mapping[str, Any]) -> bytes:
    """Return the JSON object of a body. Raises InvalidOutput for a value that is no JSON."""
    try:
        return strict_json.dumps(plain(value)).encode()
    except UnicodeEncodeError:
        raise InvalidOutput("", "holds half of a surrogate pair") from None


def _named(exc: InvalidOutput, name: str) -> InvalidOutput:
    return InvalidOutput(exc.path, f"{str(exc).removeprefix(f'{exc.path}: ')} ({name})", status=exc.status)


def words(said: Mapping[str, Any]) -> str:
    """Return the reason in a refusal: `detail` of RFC 9457, or `error` of a service before labelloop 0.2."""
    return str(said.get("detail") or said.get("error") or "")
