"""Spans over HTTP: an exporter of OpenTelemetry sends them, and model calls become outputs."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from labelloop.spec.folder import parse
from labelloop.store.database import Database
from tests.support.data.payloads import FOLDER, JUDGED, payload
from tests.support.intake_client import HEADERS, Answer, Intake

OTLP = "/v1/loops/pets/otlp"


@pytest.fixture
def intake(database: Database) -> Intake:
    return Intake(database, parse("pets", "feedback_loop: {trigger: model_confidence < 0.8}", JUDGED))


def send(intake: Intake, body: Any, query: str = "") -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return intake.ask("POST", OTLP + query, data=raw, content_type="application/json")


def spans(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [s for r in request["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]]


def waiting(intake: Intake) -> int:
    states: dict[str, int] = intake.get("/v1/loops/pets").json["states"]
    return states.get("waiting", 0)


def test_model_calls_become_outputs_that_people_see_and_a_repeat_changes_nothing(intake: Intake) -> None:
    request = payload("otlp_current.json")
    for _ in range(2):
        answer = send(intake, request)
        assert (answer.status_code, answer.json) == (200, {})
    found = waiting(intake)
    assert found >= 1
    call = next(s for s in spans(request) if any(a["key"] == "gen_ai.output.messages" for a in s["attributes"]))
    status = intake.get(f"/v1/loops/pets/outputs/{call['traceId']}/{call['spanId']}").json
    assert (status["state"], status["model_label"], status["model_confidence"]) == ("waiting", "approve", None)
    assert status["trace"] == call["traceId"]


def test_spans_out_of_order_and_with_missing_parents_are_the_same_outputs(intake: Intake) -> None:
    request = payload("otlp_current.json")
    send(intake, request)
    stored = intake.sql("select key, data, meta, group_key from outputs order by key")
    for resource in request["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            scope["spans"].reverse()
    for span in spans(request):
        span["parentSpanId"] = "ffffffffffffffff"
    answer = send(intake, request)
    assert (answer.status_code, answer.json) == (200, {}), "known, with the same body"
    assert intake.sql("select key, data, meta, group_key from outputs order by key") == stored != []


def test_spans_that_do_not_fit_are_counted_and_the_others_are_stored(intake: Intake) -> None:
    request = payload("otlp_current.json")
    bad = copy.deepcopy(request)
    for span in spans(bad):
        span["spanId"] = "not an id"
    request["resourceSpans"] += bad["resourceSpans"]
    answer = send(intake, request)
    assert answer.status_code == 200
    assert answer.json["partialSuccess"]["rejectedSpans"] == len(spans(bad))
    assert "spanId" in answer.json["partialSuccess"]["errorMessage"]
    assert waiting(intake) >= 1


def test_a_span_whose_content_changed_is_refused_and_the_first_one_stays(intake: Intake) -> None:
    request = payload("otlp_current.json")
    send(intake, request)
    before = waiting(intake)
    changed = json.loads(json.dumps(request).replace("Hamburg since Monday", "Bremen"))
    said = send(intake, changed).json["partialSuccess"]
    assert said["rejectedSpans"] >= 1
    assert waiting(intake) == before


def test_an_attribute_of_ten_megabytes_is_too_large_for_a_request_and_one_of_two_for_an_output(intake: Intake) -> None:
    request = payload("otlp_current.json")
    for span in spans(request):
        span["attributes"].append({"key": "gen_ai.prompt.0.content", "value": {"stringValue": "x" * (10 << 20)}})
    assert send(intake, request).status_code == 413
    request = json.loads(json.dumps(payload("otlp_current.json")).replace("Where", "W" * (2 << 20), 1))
    answer = send(intake, request)
    assert answer.status_code == 200
    assert "1048576" in answer.json["partialSuccess"]["errorMessage"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[1]", b'"x"', b"\xff", b"[" * 100_000, b'{"resourceSpans": 3}', b'{"resourceSpans": [{"a": NaN}]}'],
)
def test_a_body_that_is_no_export_request_is_refused_in_words(intake: Intake, body: bytes) -> None:
    answer = send(intake, body)
    assert answer.status_code == 422, answer
    assert answer.json["detail"]
    assert waiting(intake) == 0


def test_the_label_is_that_of_the_query_and_must_be_one_of_the_form(intake: Intake) -> None:
    request = payload("otlp_current.json")
    assert "partialSuccess" in send(intake, request, "?label=perfect").json
    assert waiting(intake) == 0
    assert send(intake, request, "?label=reject").json == {}
    assert waiting(intake) >= 1


@pytest.mark.parametrize("value", ['{"intValue": 1e999}', '{"doubleValue": 1e999}'])
def test_an_infinite_number_costs_its_own_span_and_no_other(intake: Intake, value: str) -> None:
    request, other = payload("otlp_current.json"), payload("otlp_current.json")
    call = spans(other)[0]
    call["spanId"] = "00f067aa0ba902b7"
    call["attributes"] = [a for a in call["attributes"] if a["key"] != "gen_ai.usage.input_tokens"]
    call["attributes"].append({"key": "gen_ai.usage.input_tokens", "value": "VALUE"})
    request["resourceSpans"] = [*other["resourceSpans"], *request["resourceSpans"]]
    answer = send(intake, json.dumps(request).replace('"VALUE"', value).encode())
    assert answer.status_code == 200
    assert answer.json["partialSuccess"]["rejectedSpans"] in (1, "1")
    assert waiting(intake) == 1


def test_an_infinite_time_is_refused(intake: Intake) -> None:
    raw = json.dumps(payload("otlp_current.json")).replace(
        '"endTimeUnixNano": "', '"endTimeUnixNano": 1e999, "x": "', 1
    )
    answer = send(intake, raw.encode())
    assert "must be nanoseconds since 1970" in answer.json["partialSuccess"]["errorMessage"]


def post(intake: Intake, body: bytes, media: str = "application/x-protobuf", encoding: str = "") -> Any:
    headers = HEADERS | ({"Content-Encoding": encoding} if encoding else {})
    return intake.web.post(OTLP, data=body, content_type=media, headers=headers)


def stored(intake: Intake) -> list[dict[str, Any]]:
    return intake.sql("select key, body_sha256 from outputs order by key")


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_the_request_of_an_exporter_with_its_defaults_is_stored(intake: Intake, encoding: str) -> None:
    """The body is the one that the exporter of OpenTelemetry's SDK sent: protobuf, and gzip as a Collector sends."""
    packed = (FOLDER / "otlp_exporter.pb.gz").read_bytes()
    body = packed if encoding else gzip.decompress(packed)
    for _ in range(2):
        answer = post(intake, body, encoding=encoding)
        assert (answer.status_code, answer.mimetype) == (200, "application/x-protobuf")
        assert ExportTraceServiceResponse.FromString(answer.data) == ExportTraceServiceResponse()
    assert waiting(intake) == 2


def test_spans_in_protobuf_and_in_json_are_the_same_outputs(intake: Intake) -> None:
    request = payload("otlp_current.json")
    call = spans(request)[0]
    call["attributes"] = [a for a in call["attributes"] if a["key"] != "gen_ai.usage.input_tokens"]
    call["attributes"].append({"key": "gen_ai.usage.input_tokens", "value": {"doubleValue": 5}})
    assert send(intake, request).json == {}
    before = stored(intake)
    for resource in request["resourceSpans"]:
        for span in (s for scope in resource["scopeSpans"] for s in scope["spans"]):
            _ids_as_bytes(span)
    answer = post(
        intake, ParseDict(request, ExportTraceServiceRequest(), ignore_unknown_fields=True).SerializeToString()
    )
    assert (answer.status_code, answer.data) == (200, b"")
    assert stored(intake) == before != []


def _ids_as_bytes(span: dict[str, Any]) -> None:
    """Write the ids as protobuf's own JSON has them; OTLP/JSON has hexadecimal digits."""
    for place in (span, *span.get("links", ())):
        for name in ("traceId", "spanId", "parentSpanId"):
            if place.get(name):
                place[name] = base64.b64encode(bytes.fromhex(place[name])).decode()


def test_refused_spans_are_counted_in_protobuf_too(intake: Intake) -> None:
    request = ExportTraceServiceRequest.FromString(gzip.decompress((FOLDER / "otlp_exporter.pb.gz").read_bytes()))
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                span.span_id = b"short"
    answer = post(intake, request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(answer.data).partial_success
    assert (answer.status_code, partial.rejected_spans > 1, "spanId" in partial.error_message) == (200, True, True)
    assert stored(intake) == []


@pytest.mark.parametrize(
    ("body", "encoding", "status", "words"),
    [
        (b"\xff\xff\xff", "", 422, "no export request of traces in protobuf"),
        (b'{"resourceSpans": []}', "", 422, "no export request of traces in protobuf"),
        (b"plain", "gzip", 400, "is not gzip"),
        (gzip.compress(b"\n" * 100, mtime=0)[:-9], "gzip", 400, "is not gzip"),
        (
            gzip.compress(bytes(8 << 20), mtime=0) + gzip.compress(bytes(1), mtime=0),
            "gzip",
            413,
            "more than 8388608 bytes",
        ),
        (gzip.compress(bytes(64 << 20), mtime=0), "gzip", 413, "more than 8388608 bytes"),
        (b"", "br", 415, "Content-Encoding must be gzip or identity; it is 'br'"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_in_words(
    intake: Intake, body: bytes, encoding: str, status: int, words: str
) -> None:
    answer = post(intake, body, encoding=encoding)
    assert answer.status_code == status
    assert words in answer.json["detail"]
    assert stored(intake) == []


def test_another_content_type_is_told_which_ones_there_are(intake: Intake) -> None:
    answer = post(intake, b"{}", "application/protobuf")
    assert (answer.status_code, answer.json["detail"]) == (
        415,
        "Content-Type must be application/x-protobuf or application/json (OTLP); it is 'application/protobuf'",
    )
