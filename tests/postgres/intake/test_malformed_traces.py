"""Each malformed value in a trace of OpenTelemetry or MLflow: it costs its own trace, or the request, and no more."""

from __future__ import annotations

import gzip
import json
import uuid

import pytest

from console.files.lines import Refused, as_line
from labelloop import Client
from labelloop.adapters import mlflow
from labelloop.errors import InvalidOutput
from sync.intake.spans import PROTOBUF
from tests.support.data.malformed import AT, VALUES, spoiled
from tests.support.data.payloads import payload
from tests.support.network.doors import Doors
from tests.support.network.sync_service import TOKEN

OTLP = "/v1/loops/judged/otlp"
NUMBER, TEXT = "gen_ai.usage.input_tokens", "gen_ai.output.messages"
TEXTS = [name for name, value in VALUES.items() if value.startswith(b'"')]


def calls(place: str, value: bytes) -> tuple[list[bytes], list[str]]:
    """Return three export requests of one model call each, and the keys of the first and the last.

    The second has this JSON value in the attribute `place`.
    """
    requests, keys = [], []
    for number in range(3):
        request = payload("otlp_current.json")
        spans = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
        del spans[1:]
        spans[0] |= {"spanId": uuid.uuid4().hex[:16], "traceId": uuid.uuid4().hex}
        raw = json.dumps(request).encode()
        if number == 1:
            spans[0]["attributes"] = [one for one in spans[0]["attributes"] if one["key"] != place]
            kind = "stringValue" if place == TEXT else "doubleValue"
            spans[0]["attributes"].append({"key": place, "value": {kind: "miaow"}})
            raw = json.dumps(request).encode().replace(AT, value)
        else:
            keys.append(f"{spans[0]['traceId']}/{spans[0]['spanId']}")
        requests.append(raw)
    return requests, sorted(keys)


def joined(requests: list[bytes]) -> bytes:
    """Return one export request with the spans of all of them."""
    parts = [one.removeprefix(b'{"resourceSpans": [').removesuffix(b"]}") for one in requests]
    return b'{"resourceSpans": [' + b", ".join(parts) + b"]}"


@pytest.mark.parametrize(("name", "place"), [*((n, NUMBER) for n in VALUES), *((n, TEXT) for n in TEXTS)])
def test_a_span_with_it_is_not_stored_and_never_costs_half_of_a_request(doors: Doors, name: str, place: str) -> None:
    requests, keys = calls(place, VALUES[name])
    for raw, others in ((requests[1], []), (joined(requests), keys)):
        answer = doors.post(raw, "application/json", OTLP)
        if answer.status_code == 200:
            said = answer.json()["partialSuccess"]
            assert (int(said["rejectedSpans"]), bool(said["errorMessage"])) == (1, True)
            assert doors.new() == others
        else:
            assert answer.status_code == 422, answer.text
            assert answer.json()["detail"]
            assert doors.new() == []
    words = ["--from", "otlp", "--loop", "judged"]
    status, said, stderr = doors.run("a.jsonl", b"\n".join(requests), "submit", *words)
    assert (status, "1 line is refused; nothing is sent" in stderr, doors.new()) == (1, True, []), stderr
    assert [one["line"] for one in said["problems"]] == [2]
    status, said, _ = doors.run("a.jsonl", None, "submit", *words, "--skip-bad")
    assert (status, said["refused"], said["new"] + said["known"]) == (1, 1, 2)


TAKEN = {"an unknown field", "a list"}
"""OTLP wants unknown fields to be ignored, and a list of requests is a form of our own."""


@pytest.mark.parametrize("name", sorted(spoiled(b'{"resourceSpans": [], "x": "miaow"}').keys() - VALUES.keys() - TAKEN))
def test_a_body_that_is_no_export_request_stores_nothing(doors: Doors, name: str) -> None:
    requests, _ = calls(NUMBER, b"1")
    raw = spoiled(joined(requests[:1])[:-1] + b', "x": "miaow"}')[name]
    answer = doors.post(raw, "application/json", OTLP)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"]
    assert doors.new() == []


def read_by_python(text: bytes) -> object:
    """Return the value as Python's reader of JSON, which MLflow uses, reads it; None if it has no such value."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if value == {"a": 2} else value


@pytest.mark.parametrize("name", [name for name, text in VALUES.items() if read_by_python(text) is not None])
def test_a_trace_of_mlflow_with_it_is_refused_alone(doors: Doors, name: str) -> None:
    value = read_by_python(VALUES[name])
    traces = [payload("mlflow_trace.json") for _ in range(3)]
    for trace in traces:
        trace["info"]["trace_id"] = f"tr-{uuid.uuid4().hex}"
    traces[1]["info"]["trace_metadata"]["mlflow.trace.tokenUsage"] = {"input_tokens": value}
    errors: list[InvalidOutput] = []
    made = list(mlflow.outputs(traces, refused=errors.append))
    lines = [as_line(number, output.to_json()) for number, output in enumerate(made, start=1)]
    assert sum(isinstance(line, Refused) for line in lines) + len(errors) == 1
    with Client(doors.url, TOKEN, loop="judged") as client:
        with pytest.raises(InvalidOutput):
            client.submit([one for one in made if one.key == traces[1]["info"]["trace_id"]])
        with pytest.raises(InvalidOutput):
            client.submit(made)
        assert doors.new() == []
        client.submit_lines([line for line in lines if not isinstance(line, Refused)])
    assert doors.new() == sorted(traces[n]["info"]["trace_id"] for n in (0, 2))


def parts(kind: str) -> bytes:
    """Return an export request of at most 8 MiB that would take a hundred times that, or minutes, if it were read."""
    empty, many = b"\x12\x00", 3 << 20
    if kind == "spans in protobuf":
        return field(1, field(2, empty * many))
    if kind == "values in protobuf":  # a list in one attribute
        return field(1, field(2, field(2, field(9, field(2, field(5, b"\x0a\x00" * many))))))
    if kind == "refused spans":
        return b'{"resourceSpans": [{"scopeSpans": [{"spans": [' + b"{}, " * 100_000 + b"{}]}]}]}"
    return b'{"resourceSpans": [{"scopeSpans": [{"spans": [' + b"[]," * (2 << 20) + b"[]]}]}]}"


def field(number: int, value: bytes) -> bytes:
    """Return a field of protobuf whose value has a length."""
    size, length = bytearray(), len(value)
    while length > 127:
        size.append(length & 127 | 128)
        length >>= 7
    return bytes([number << 3 | 2, *size, length]) + value


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [
        ("spans in protobuf", 413, "fields and items"),
        ("values in protobuf", 413, "fields and items"),
        ("lists", 413, "fields and items"),
        ("refused spans", 422, "more than 10000 spans are refused"),
    ],
)
def test_millions_of_empty_parts_in_a_few_bytes_are_refused(doors: Doors, kind: str, status: int, words: str) -> None:
    packed = gzip.compress(parts(kind))
    assert len(packed) < 50_000
    media = PROTOBUF if "protobuf" in kind else "application/json"
    answer = doors.post(packed, media, OTLP, encoding="gzip")
    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.text


def test_calls_that_repeat_the_tools_of_their_trace_are_bounded_together(doors: Doors) -> None:
    """Each of 200 calls comes after 90 results of tools: half a megabyte becomes a hundred."""
    trace, made = uuid.uuid4().hex, []
    for number in range(290):
        name = "gen_ai.output.messages" if number >= 90 else "gen_ai.tool.call.result"
        words = [("gen_ai.operation.name", "chat" if number >= 90 else "execute_tool"), (name, "x" * 5000)]
        attributes = [{"key": key, "value": {"stringValue": value}} for key, value in words]
        at = str(number + 1)
        times = {"startTimeUnixNano": at, "endTimeUnixNano": at}
        made.append({"traceId": trace, "spanId": f"{number + 1:016x}", **times, "attributes": attributes})
    body = {"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}
    answer = doors.post(json.dumps(body).encode(), "application/json", OTLP)
    assert (answer.status_code, answer.json()["path"]) == (413, "resourceSpans")
    assert doors.post(b"", PROTOBUF, OTLP).content == b"", "a request without spans is a request"
