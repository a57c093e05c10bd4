"""Spans of OpenTelemetry, which become outputs: each span that fits is stored, and the others are counted.

The protocol (OTLP 1.x, "Partial Success") wants it so. An exporter does not repeat a request because of single spans.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableSequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from labelloop.adapters import otlp
from labelloop.errors import InvalidOutput
from labelloop.outputs.output import Output
from labelloop.reading import strict_json
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn
from sync.intake import taking
from sync.intake.taking import Line

PROTOBUF = "application/x-protobuf"
"""Content type of OTLP/HTTP in binary, which exporters send unless they are told to send JSON."""
MAX_SPANS = 10_000
"""Model calls of one request, and also the spans of it that may be refused."""
MAX_PARTS = 1_000_000
"""Fields and items of one request. Empty ones cost two bytes each in protobuf, and a hundred times that in memory."""
MAX_STORED_BYTES = 64 << 20
"""Bytes of all outputs of one request. Each call repeats the tool calls and the documents before it in its trace."""
MAX_WORDS = 1000
"""Characters of the message about the refused spans."""


@dataclass(frozen=True, slots=True)
class Stored:
    """Result of an export request."""

    new: int
    known: int
    refused: list[str]
    """The reason for each span that is not stored."""

    def response(self, *, as_protobuf: bool) -> bytes:
        """Return the body of the response that the protocol wants: empty if all are stored, else with the reasons."""
        words = "; ".join(dict.fromkeys(self.refused))[:MAX_WORDS]
        if as_protobuf:
            partial = ExportTracePartialSuccess(rejected_spans=len(self.refused), error_message=words)
            whole = ExportTraceServiceResponse(partial_success=partial if self.refused else None)
            return bytes(whole.SerializeToString())
        partial_json = {"rejectedSpans": len(self.refused), "errorMessage": words}
        return json.dumps({"partialSuccess": partial_json} if self.refused else {}).encode()


def store(conn: Conn, spec: LoopSpec, payload: Any, label: str, source: str | None = None) -> Stored:
    """Store the model calls among the spans, in the caller's transaction. A repeated request stores nothing twice.

    `payload` is that of read. `label` is what the pipeline claims about each answer. `source` as in taking.read. Raises
    InvalidOutput if the payload is no export request.
    """
    refused: list[str] = []

    def refuse(error: InvalidOutput) -> None:
        if len(refused) >= MAX_SPANS:
            raise InvalidOutput("resourceSpans", f"more than {MAX_SPANS} spans are refused; the last one: {error}")
        refused.append(str(error))

    found = otlp.outputs(payload, label=label, refused=refuse)
    batch = taking.read(spec, _lines(found, refused), source, max_problems=MAX_SPANS)
    refused += [f"{problem.message} (span {problem.key})" for problem in batch.invalid]
    taken = taking.store(conn, spec, batch)
    refused += [problem.message for problem in taken.conflicts]
    return Stored(taken.new, taken.known + taken.repeated, refused)


def read(body: bytes, *, is_protobuf: bool) -> Any:
    """Return the body as a JSON value. Its parts are read strictly later, each as an output.

    Raises InvalidOutput if it is not JSON, or no message of protobuf, or has too many parts (413).
    """
    if not is_protobuf:
        found = strict_json.loads_large(body)
        return _bounded(found) if isinstance(found, dict | list) else found
    try:
        request = _bounded(ExportTraceServiceRequest.FromString(body))
        # Without spans the body is empty. JSON has a list then, and so had each request before.
        return {"resourceSpans": [], **MessageToDict(request)}
    except (DecodeError, RecursionError) as exc:
        raise InvalidOutput("", f"is no export request of traces in protobuf: {str(exc)[:200]}") from None


def _bounded(whole: Any) -> Any:
    """Return a JSON value or a message. Raises InvalidOutput (413) if it has more than MAX_PARTS fields and items."""
    parts, left = [whole], MAX_PARTS
    while parts:
        part = parts.pop()
        inner = [value for _, value in part.ListFields()] if isinstance(part, Message) else part
        left -= len(inner)
        if left < 0:
            raise InvalidOutput("", f"more than {MAX_PARTS} fields and items in one request; send several", status=413)
        several = inner.values() if isinstance(inner, dict) else inner
        parts += [value for value in several if isinstance(value, dict | Message | MutableSequence)]
    return whole


def _lines(outputs: Iterator[Output], refused: list[str]) -> Iterator[Line]:
    total = 0
    for number, output in enumerate(outputs, start=1):
        if number > MAX_SPANS:
            raise InvalidOutput("resourceSpans", f"holds more than {MAX_SPANS} model calls; send several requests")
        try:
            line = strict_json.dumps(output.to_json()).encode()
        except UnicodeEncodeError:
            refused.append(f"holds half of a surrogate pair (span {output.key})")
            continue
        except InvalidOutput as exc:
            refused.append(f"{exc} (span {output.key})")
            continue
        total += len(line)
        if total > MAX_STORED_BYTES:
            words = f"its model calls are more than {MAX_STORED_BYTES} bytes, with what their traces have before them"
            raise InvalidOutput("resourceSpans", f"{words}; send several requests", status=413)
        yield number, line
