"""Spans of OpenTelemetry, which become outputs: each span that fits is stored, and the others are counted.

The protocol (OTLP 1.x, "Partial Success") wants it so. An exporter does not repeat a request because of single spans.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
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
    found = otlp.outputs(payload, label=label, refused=lambda error: refused.append(str(error)))
    batch = taking.read(spec, _lines(found, refused), source, max_problems=MAX_SPANS)
    refused += [f"{problem.message} (span {problem.key})" for problem in batch.invalid]
    taken = taking.store(conn, spec, batch)
    refused += [problem.message for problem in taken.conflicts]
    return Stored(taken.new, taken.known + taken.repeated, refused)


def read(body: bytes, *, is_protobuf: bool) -> Any:
    """Return the body as a JSON value. Its parts are read strictly later, each as an output.

    Raises InvalidOutput if it is not JSON, or no message of protobuf.
    """
    if not is_protobuf:
        return strict_json.loads_large(body)
    try:
        return MessageToDict(ExportTraceServiceRequest.FromString(body))
    except (DecodeError, RecursionError) as exc:
        raise InvalidOutput("", f"is no export request of traces in protobuf: {str(exc)[:200]}") from None


def _lines(outputs: Iterator[Output], refused: list[str]) -> Iterator[Line]:
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
        yield number, line
