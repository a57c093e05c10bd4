"""Feedback goes back to a tracing backend as OpenTelemetry events, each on the span that it judges."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from labelloop.spec.folder import parse
from labelloop.store.database import Database
from labelloop.store.tables import loops
from tests.support.data.payloads import payload
from tests.support.hops.answering_desk import Desk
from tests.support.intake_client import HEADERS

JUDGED = "feedback_loop: {trigger: model_confidence < 0.8, labels: [approve, reject], audit: 0, holdout: 0}"
FEEDBACK = "/v1/loops/judged/feedback"


@pytest.fixture
def desk(database: Database) -> Desk:
    with database.transaction() as conn:
        loops.register(conn, parse("judged", JUDGED))
    return Desk(database)


def read(text: str) -> list[Any]:
    """Return the log records as the protocol's own code reads them; OTLP/JSON has ids in hexadecimal, not in base64."""
    found: list[Any] = []
    for line in text.splitlines():
        request = json.loads(line)
        for record in request["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
            for name in ("traceId", "spanId"):
                record[name] = b64encode(bytes.fromhex(record[name])).decode()
        [resource] = ParseDict(request, ExportLogsServiceRequest()).resource_logs
        [scope] = resource.scope_logs
        found += scope.log_records
    return found


def exported(desk: Desk, since: str | None = None) -> tuple[list[Any], str]:
    query = {"format": "otlp"} if since is None else {"format": "otlp", "since": since}
    said = desk.web.get(FEEDBACK, query_string=query, headers=HEADERS)
    assert said.status_code == 200, said.text
    return read(said.text), said.headers["Labelloop-Cursor"]


def values(record: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in record.attributes}


def test_an_answer_about_a_model_call_is_an_event_on_its_span(desk: Desk) -> None:
    sent = desk.ask("POST", "/v1/loops/judged/otlp", json=payload("otlp_current.json"))
    assert (sent.status_code, sent.json) == (200, {})
    desk.ask("POST", "/v1/loops/judged/outputs", json={"key": "no span", "data": {"text": "x"}, "label": "approve"})
    [key, *_] = [row["key"] for row in desk.sql("select key from outputs where key like '%/%' order by key")]
    for name in (key, "no span"):
        body = {"key": name, "reviewer_id": "anna", "approval": False, "correction": "reject", "comment": 'not "it"'}
        assert desk.ask("POST", FEEDBACK, json=body).status_code == 201
    (record,), cursor = exported(desk)
    assert f"{record.trace_id.hex()}/{record.span_id.hex()}" == key
    assert record.event_name == "gen_ai.evaluation.result"
    assert values(record) == {
        "gen_ai.evaluation.name": "judged", "gen_ai.evaluation.score.value": 0.0,
        "gen_ai.evaluation.score.label": "reject", "gen_ai.evaluation.explanation": 'not "it"',
        "labelloop.reviewer": "anna", "labelloop.answer": "reject",
    }  # fmt: skip
    (row,) = desk.sql(
        "select updated_at from feedback f join outputs o on o.id = f.model_output_id where key like '%/%'"
    )
    at = row["updated_at"]
    assert record.time_unix_nano == int(at.timestamp()) * 10**9 + at.microsecond * 1000

    # A changed answer is one more event; one that was taken back is none.
    assert exported(desk, cursor)[0] == []
    desk.ask("POST", FEEDBACK, json={"key": key, "reviewer_id": "anna", "approval": True})
    (changed,), cursor = exported(desk, cursor)
    assert values(changed)["gen_ai.evaluation.score.value"] == 1.0
    assert "gen_ai.evaluation.explanation" not in values(changed)
    desk.ask("DELETE", FEEDBACK, query_string={"key": key, "reviewer_id": "anna"})
    assert exported(desk, cursor)[0] == []
