"""Spans of OpenTelemetry become outputs: one for each model call, with the conversation as people read it."""

from __future__ import annotations

import base64
import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.adapters import otlp
from labelloop.errors import InvalidOutput
from labelloop.outputs.output import Output
from tests.support.data.payloads import JUDGED, lanes_of, payload

CURRENT, FORMS = payload("otlp_current.json"), payload("otlp_forms.json")
TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
ANSWER = "It has been in Hamburg since Monday."
DIALOGUE = """<View><Paragraphs name="dialogue" value="$dialogue" layout="dialogue" nameKey="author" textKey="text"/>
<Choices name="label" toName="dialogue"><Choice value="approve"/><Choice value="reject"/></Choices></View>"""


def spans_in(request: Any) -> list[Any]:
    found: list[Any] = request["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return found


def changed(**changes: Any) -> Any:
    """Return the request with changes of its first span, the model call."""
    request = copy.deepcopy(CURRENT)
    spans_in(request)[0].update(changes)
    return request


def with_attribute(name: str, value: Any) -> Any:
    request = copy.deepcopy(CURRENT)
    attributes = spans_in(request)[0]["attributes"]
    attributes[:] = [pair for pair in attributes if pair["key"] != name]
    attributes.append({"key": name, "value": value})
    return request


def read(request: Any) -> tuple[list[Output], list[InvalidOutput]]:
    refused: list[InvalidOutput] = []
    return list(otlp.outputs(request, refused=refused.append)), refused


def test_a_model_call_becomes_one_output_with_all_that_people_need() -> None:
    (made,) = otlp.outputs(CURRENT)
    assert made.key == f"{TRACE}/{SPAN}"
    assert (made.trace, made.step, made.source, made.group) == (TRACE, "chat small-chat", "shop-bot", "conv-9")
    assert (made.model_version, str(made.produced_at)) == ("small-chat-2026-01-01", "2026-01-01 00:00:04.500000+00:00")
    assert (made.label, made.confidence) == ("approve", None)
    assert made.meta == {
        "input_tokens": 52,
        "output_tokens": 11,
        "finish_reasons": ["stop"],
        "operation": "chat",
        "provider": "openai",
        "conversation": "conv-9",
        "latency_s": 1.5,
    }
    assert (made.data["question"], made.data["answer"]) == ("Where is parcel 17?", ANSWER)
    assert made.data["text"] == f"Where is parcel 17?\n\n{ANSWER}"
    for xml in (JUDGED.replace("$answer", "$text"), DIALOGUE):
        assert lanes_of([made], xml)[made.key].placement.triggered


def test_the_dialogue_has_documents_and_tools_of_other_spans_once() -> None:
    (made,) = otlp.outputs(CURRENT)
    assert [(turn["author"], turn["text"]) for turn in made.data["dialogue"]] == [
        ("document", "Parcels wait in Hamburg."),
        ("document", "doc-8"),
        ("system", "Answer in one sentence."),
        ("user", "Where is parcel 17?"),
        ("tool call", 'track({"parcel": 17})'),
        ("tool", "in Hamburg since Monday"),
        ("tool call", 'weather({"city": "Hamburg"})'),
        ("tool", "rain"),
        ("assistant", ANSWER),
    ]
    assert [one["text"] for one in made.data["documents"]] == ["Parcels wait in Hamburg.", "doc-8"]


def test_every_earlier_form_of_the_conventions_gives_the_same_question_and_answer() -> None:
    made = list(otlp.outputs(FORMS))
    assert len(made) == 5
    assert {(one.data["question"], one.data["answer"]) for one in made} == {("Where is parcel 17?", ANSWER)}
    with_tools = [one.data["dialogue"] for one in made if not one.key.endswith("177")]  # it has no tool call
    for dialogue in with_tools:
        assert {"author": "tool", "text": "in Hamburg since Monday"} in dialogue
        assert any(turn["author"] == "tool call" and turn["text"].startswith("track(") for turn in dialogue)
    assert {one.meta["input_tokens"] for one in made if one.meta} == {52}
    assert len(lanes_of(made, DIALOGUE)) == 5


def test_the_order_of_spans_and_missing_parents_make_no_difference() -> None:
    request = copy.deepcopy(CURRENT)
    spans_in(request).reverse()
    for span in spans_in(request):
        span["parentSpanId"] = "ffffffffffffffff"
    assert list(otlp.outputs(request)) == list(otlp.outputs(CURRENT))


def test_ids_in_base64_and_names_in_snake_case_are_the_same_output() -> None:
    def other(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {re.sub("[A-Z]", lambda m: f"_{m[0].lower()}", k): other(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [other(one) for one in value]
        if name in ("traceId", "spanId"):
            return base64.b64encode(bytes.fromhex(value)).decode()
        return value

    assert list(otlp.outputs(other(CURRENT))) == list(otlp.outputs(CURRENT))
    assert [one.key for one in otlp.outputs(changed(traceId=TRACE.upper()))] == [f"{TRACE}/{SPAN}"]


@pytest.mark.parametrize("bad", ["0" * 32, "", None, 17, "xyz", "5b8efff798038103d269b633813fc60"])
def test_an_id_that_is_none_refuses_only_its_span(bad: Any) -> None:
    request = changed(traceId=bad)
    spans_in(request).append({**copy.deepcopy(spans_in(CURRENT)[0]), "spanId": "b00000000000000f"})
    made, refused = read(request)
    assert [one.key for one in made] == [f"{TRACE}/b00000000000000f"]
    assert [one.path for one in refused] == ["resourceSpans[0].scopeSpans[0].spans[0].traceId"]
    with pytest.raises(InvalidOutput, match="must be 32 hexadecimal digits"):
        list(otlp.outputs(request))


def test_an_attribute_of_10_mb_is_refused_with_its_span() -> None:
    long = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "x" * 10_000_000}]}])
    made, refused = read(with_attribute("gen_ai.output.messages", {"stringValue": long}))
    assert made == []
    (error,) = refused
    assert (error.path, error.status) == ("data.dialogue", 413)
    assert str(error).endswith(f"an output has at most 1048576 (span {TRACE}/{SPAN})")


def test_a_call_without_recorded_messages_says_how_to_record_them() -> None:
    request = copy.deepcopy(CURRENT)
    attributes = spans_in(request)[0]["attributes"]
    attributes[:] = [pair for pair in attributes if "messages" not in pair["key"]]
    _, refused = read(request)
    assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT" in str(refused[0])
    failed = changed(status={"code": 2, "message": "rate limit"})
    spans_in(failed)[0]["attributes"] = attributes
    assert "the call failed, so there is no answer: rate limit" in str(read(failed)[1][0])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"intValue": "many"}, "intValue: must be an integer"),
        ({"thingValue": 1}, "no such AnyValue: thingValue"),
        ("text", "must be an AnyValue"),
        ({"arrayValue": {"values": 3}}, "must be a list"),
        ({"kvlistValue": {"values": [{"value": {}}]}}, "must be an object with a key"),
    ],
)
def test_values_that_are_none_are_refused_with_their_path(value: Any, words: str) -> None:
    made, refused = read(with_attribute("x", value))
    assert made == []
    assert words in str(refused[0])
    assert refused[0].path.startswith("resourceSpans[0].scopeSpans[0].spans[0].attributes[")


def test_values_nested_too_deeply_are_refused() -> None:
    value: Any = {"stringValue": "x"}
    for _ in range(40):
        value = {"arrayValue": {"values": [value]}}
    assert "is nested more than 32 deep" in str(read(with_attribute("x", value))[1][0])


@pytest.mark.parametrize("bad", [None, [], 3, "text", {}, {"resourceLogs": []}, {"resourceSpans": 1}])
def test_anything_else_than_traces_is_refused(bad: Any) -> None:
    if bad == []:
        assert read(bad) == ([], [])
        return
    with pytest.raises(InvalidOutput, match="resourceSpans: is missing"):
        list(otlp.outputs(bad))


@pytest.mark.parametrize("messages", ["a plain text", "[broken json", '"x"', "[[1]]", '[{"role": "user"}]', "[" * 9999])
def test_messages_in_no_known_shape_are_shown_as_they_are(messages: str) -> None:
    (made,) = otlp.outputs(with_attribute("gen_ai.input.messages", {"stringValue": messages}))
    assert made.data["answer"] == ANSWER


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "resourceSpans resource scopeSpans spans attributes key value stringValue intValue arrayValue values "
                "events name status traceId spanId startTimeUnixNano role parts content type tool_calls".split()
            ),
            below,
            max_size=4,
        )
    ),
    max_leaves=30,
)


@given(JSON, st.sampled_from(["traceId", "name", "attributes", "events", "status", "endTimeUnixNano"]))
def test_no_json_breaks_it(value: Any, name: str) -> None:
    read(changed(**{name: value}))
    read(with_attribute("gen_ai.output.messages", value))
    read({"resourceSpans": [value, {"resource": value, "scopeSpans": [{"spans": [value]}]}]})


@given(JSON)
def test_no_message_breaks_it(value: Any) -> None:
    made, refused = read(with_attribute("gen_ai.output.messages", {"stringValue": json.dumps(value)}))
    assert len(made) + len(refused) == 1


def test_a_message_that_nests_to_the_limit_of_the_reader_is_refused_alone() -> None:
    deep = '{"message": ' * 960 + "{}" + "}" * 960
    made, refused = read(with_attribute("gen_ai.output.messages", {"stringValue": f"[{deep}]"}))
    assert len(made) + len(refused) == 1
