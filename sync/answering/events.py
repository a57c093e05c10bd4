"""Events: feedback for a tracing backend, as `gen_ai.evaluation.result` of the OpenTelemetry conventions for GenAI.

Each event belongs to the span of the model call that it judges: to the trace and the span in the output's key, as
labelloop/adapters/otlp.py writes it. Other outputs have no span and are left out. So is feedback that was taken back,
because an event cannot be withdrawn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

NAME = "gen_ai.evaluation.result"
KEY = re.compile(r"([0-9a-f]{32})/([0-9a-f]{16})")
INFO = 9
"""Severity number of OTLP."""
RECORDS_A_LINE = 500


def lines(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """Yield export requests of logs (OTLP/JSON), one a line, as a Collector reads them; none without an event."""
    while some := list(islice(rows, RECORDS_A_LINE)):
        if records := [record for row in some if (record := _record(row)) is not None]:
            scope = {"scope": {"name": "labelloop"}, "logRecords": records}
            resource = {"attributes": _attributes({"service.name": "labelloop"})}
            request = {"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}
            yield msgspec.json.encode(request) + b"\n"


def _record(row: Mapping[str, Any]) -> dict[str, Any] | None:
    found = KEY.fullmatch(row["key"])
    if found is None or row["deleted"]:
        return None
    approval = row["approval"]
    attributes = {
        "gen_ai.evaluation.name": row["loop"],
        "gen_ai.evaluation.score.value": None if approval is None else float(approval),
        "gen_ai.evaluation.score.label": row["label"],
        "gen_ai.evaluation.explanation": row["comment"],
        "labelloop.reviewer": row["reviewer"],
        "labelloop.answer": row["answer"],
    }
    # Seconds as a float would round the microseconds.
    at = row["updated_at"]
    nanoseconds = int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1_000
    return {
        "timeUnixNano": str(nanoseconds),
        "observedTimeUnixNano": str(nanoseconds),
        "severityNumber": INFO,
        "eventName": NAME,
        "attributes": _attributes(attributes),
        "traceId": found[1],
        "spanId": found[2],
    }


def _attributes(values: Mapping[str, str | float | None]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}}
        for key, value in values.items()
        if value is not None
    ]
