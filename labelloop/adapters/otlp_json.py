"""OTLP/JSON: the spans of an export request of OpenTelemetry, with ids and attributes as plain values.

Names are read in lowerCamelCase, as the protocol has them, and in snake_case, as protobuf libraries may write them. Ids
are hexadecimal, or base64 as in protobuf's own JSON.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from labelloop.errors import InvalidOutput

MAX_DEPTH = 32
LONGEST_S = 253_402_300_799
"""The last second that a datetime holds."""


@dataclass(frozen=True, slots=True)
class Span:
    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    name: str
    start_ns: int
    """Nanoseconds since 1970 in UTC; 0 if it is not known."""
    end_ns: int
    attributes: Mapping[str, Any]
    events: Sequence[tuple[str, Mapping[str, Any]]]
    """Name and attributes of each event, in their order."""
    resource: Mapping[str, Any] = field(default_factory=dict)
    """Attributes of the service that recorded the span."""
    error: str = ""
    """Message of a span that ended in an error; "" for any other."""

    @property
    def key(self) -> str:
        return f"{self.trace_id}/{self.span_id}"

    @property
    def ended_at(self) -> datetime | None:
        return datetime.fromtimestamp(self.end_ns / 1e9, UTC) if self.end_ns else None


def spans_of(payload: Any) -> Iterator[Span | InvalidOutput]:
    """Yield the spans of an export request, or of a list of them. A span that cannot be read is an InvalidOutput.

    Raises InvalidOutput if the payload is no export request of traces.
    """
    requests = payload if isinstance(payload, list) else [payload]
    for request in requests:
        several = _get(request, "resourceSpans") if isinstance(request, Mapping) else None
        if not isinstance(several, list):
            raise InvalidOutput("resourceSpans", "is missing; an export request of traces in OTLP/JSON is wanted")
        for i, one in enumerate(several):
            yield from _of_resource(one, f"resourceSpans[{i}]")


def _of_resource(value: Any, path: str) -> Iterator[Span | InvalidOutput]:
    try:
        resource = attributes(_get(value, "resource") or {}, f"{path}.resource")
        scopes = _get(value, "scopeSpans")
        if scopes is None:
            scopes = _get(value, "instrumentationLibrarySpans")  # the name until 2022
        spans = [
            (f"{path}.scopeSpans[{i}].spans[{j}]", span)
            for i, scope in enumerate(_several(scopes, f"{path}.scopeSpans"))
            for j, span in enumerate(_several(_get(scope, "spans"), f"{path}.scopeSpans[{i}].spans"))
        ]
    except InvalidOutput as exc:
        yield exc
        return
    for at, span in spans:
        try:
            yield _span(span, at, resource)
        except InvalidOutput as exc:
            yield exc


def _span(span: Any, path: str, resource: Mapping[str, Any]) -> Span:
    if not isinstance(span, Mapping):
        raise InvalidOutput(path, "must be an object")
    events = _several(_get(span, "events"), f"{path}.events")
    status = _get(span, "status") or {}
    failed = isinstance(status, Mapping) and status.get("code") in (2, "STATUS_CODE_ERROR")
    return Span(
        trace_id=_id(_get(span, "traceId"), f"{path}.traceId", 16),
        span_id=_id(_get(span, "spanId"), f"{path}.spanId", 8),
        name=str(_get(span, "name") or ""),
        start_ns=_time(_get(span, "startTimeUnixNano"), f"{path}.startTimeUnixNano"),
        end_ns=_time(_get(span, "endTimeUnixNano"), f"{path}.endTimeUnixNano"),
        attributes=attributes(span, path),
        events=[(str(_get(one, "name") or ""), attributes(one, f"{path}.events[{i}]")) for i, one in enumerate(events)],
        resource=resource,
        error=str(status.get("message") or "unknown error") if failed else "",
    )


def attributes(owner: Any, path: str) -> dict[str, Any]:
    """Return the attributes of a span, an event or a resource as plain values."""
    return _pairs(_several(_get(owner, "attributes"), f"{path}.attributes"), f"{path}.attributes", 0)


def _pairs(pairs: Sequence[Any], path: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Mapping) or not isinstance(name := pair.get("key"), str):
            raise InvalidOutput(f"{path}[{i}]", "must be an object with a key")
        found[name] = _value(pair.get("value"), f"{path}[{i}].value", depth + 1)
    return found


def _value(value: Any, path: str, depth: int) -> Any:
    """Return an AnyValue as a plain value; None for an empty one."""
    if depth > MAX_DEPTH:
        raise InvalidOutput(path[:80], f"is nested more than {MAX_DEPTH} deep")
    if value is None or value == {}:
        return None
    if not isinstance(value, Mapping):
        raise InvalidOutput(path, "must be an AnyValue, such as {'stringValue': 'text'}")
    for name in ("stringValue", "boolValue", "doubleValue", "bytesValue"):
        if (found := _get(value, name)) is not None:
            # JSON may write 5.0 as 5, and a Collector does; in protobuf it is 5.0.
            return float(found) if name == "doubleValue" and type(found) is int and abs(found) < 1 << 53 else found
    if (found := _get(value, "intValue")) is not None:
        try:
            return int(found)  # 64 bits are written as a text
        except (TypeError, ValueError, OverflowError):
            raise InvalidOutput(f"{path}.intValue", f"must be an integer; it is {str(found)[:40]!r}") from None
    if (found := _get(value, "arrayValue")) is not None:
        return [_value(one, f"{path}[{i}]", depth + 1) for i, one in enumerate(_several(_get(found, "values"), path))]
    if (found := _get(value, "kvlistValue")) is not None:
        return _pairs(_several(_get(found, "values"), path), path, depth + 1)
    raise InvalidOutput(path, f"no such AnyValue: {', '.join(map(str, value))[:80]}")


def _id(value: Any, path: str, size: int) -> str:
    """Return an id as lower-case hexadecimal digits."""
    if isinstance(value, str):
        if re.fullmatch(rf"[0-9a-fA-F]{{{2 * size}}}", value):
            if value.strip("0"):
                return value.lower()
        else:
            try:
                raw = base64.b64decode(value, validate=True)
            except (binascii.Error, ValueError):
                raw = b""
            if len(raw) == size and any(raw):
                return raw.hex()
    raise InvalidOutput(path, f"must be {2 * size} hexadecimal digits, not all 0; it is {str(value)[:60]!r}")


def _time(value: Any, path: str) -> int:
    try:
        ns = int(value or 0)
    except (TypeError, ValueError, OverflowError):  # JSON's 1e999 is infinite
        ns = -1
    if not 0 <= ns <= LONGEST_S * 10**9:
        raise InvalidOutput(path, f"must be nanoseconds since 1970; it is {str(value)[:40]!r}")
    return ns


def _several(value: Any, path: str) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise InvalidOutput(path, "must be a list")
    return value or []


def _get(value: Any, name: str) -> Any:
    """Return a field by its name in lowerCamelCase or in snake_case."""
    if not isinstance(value, Mapping):
        return None
    found = value.get(name)
    return value.get(_snake(name)) if found is None else found


@cache
def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda m: "_" + m[1].lower(), name)
