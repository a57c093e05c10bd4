"""Spans of OpenInference and of Langfuse become the same outputs as those of OpenTelemetry's conventions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelloop.adapters import otlp
from labelloop.adapters.otlp_names import current
from tests.support.data.payloads import JUDGED, lanes_of, payload

NAMES = st.lists(
    st.sampled_from(
        "llm input_messages output_messages 0 1 ² message contents message_content tool_calls tool_call".split()
    ),
    max_size=14,
).map(".".join)


def turns_of(made: Any) -> list[tuple[str, str]]:
    return [(turn["author"], turn["text"]) for turn in made.data["dialogue"]]


def test_a_recorded_trace_of_openinference_has_its_messages_tool_calls_and_documents() -> None:
    asks, answers = otlp.outputs(payload("otlp_openinference.json"))
    question = "Where is my order 12? (0)"
    before = [("document", "Parcels take 3 days."), ("system", "You are a shop's assistant."), ("user", question)]
    call = ("tool call", f'lookup({{"q": "{question}"}})')
    assert turns_of(asks) == [*before, call]
    assert turns_of(answers) == [*before, call, ("tool", "shipped"), ("assistant", "Your order status: shipped")]
    assert answers.model_version == "gpt-x-2026"
    assert (answers.meta or {})["input_tokens"] == 10
    assert len(lanes_of([asks, answers], JUDGED)) == 2


def test_a_recorded_trace_of_langfuse_has_its_messages_tools_and_documents() -> None:
    (made,) = otlp.outputs(payload("otlp_langfuse.json"))
    assert turns_of(made) == [
        ("document", "Parcels take 3 days."),
        ("system", "Be short."),
        ("user", "Norway?"),
        ("tool call", 'lookup({"q": 1})'),
        ("tool", "shipped"),
        ("assistant", "Yes, 3 days."),
    ]
    assert (made.model_version, made.step) == ("gpt-x", "llm")


def test_pictures_and_several_texts_of_a_message_are_shown_and_the_order_is_by_number() -> None:
    prefix = "llm.input_messages"
    found = current(
        {
            "openinference.span.kind": "LLM",
            f"{prefix}.10.message.content": "last",
            f"{prefix}.2.message.contents.0.message_content.type": "text",
            f"{prefix}.2.message.contents.0.message_content.text": "what is this?",
            f"{prefix}.2.message.contents.1.message_content.type": "image",
            f"{prefix}.2.message.contents.1.message_content.image.image.url": "https://a.example/b.png",
            "llm.output_messages.0.message.content": "a cat",
        },
        "x",
    )
    assert [one["content"] for one in found["gen_ai.input.messages"]] == [
        [{"type": "text", "text": "what is this?"}, {"type": "image", "text": None, "url": "https://a.example/b.png"}],
        "last",
    ]


@pytest.mark.parametrize("kind", ["openinference.span.kind", "langfuse.observation.type"])
def test_an_attribute_of_the_conventions_is_never_replaced(kind: str) -> None:
    given = {kind: "LLM" if "open" in kind else "generation", "gen_ai.operation.name": "embeddings"}
    given |= {"gen_ai.input.messages": "first", "input.value": "second", "langfuse.observation.input": "second"}
    found = current(given, "x")
    assert (found["gen_ai.operation.name"], found["gen_ai.input.messages"]) == ("embeddings", "first")


def test_without_messages_the_input_and_the_output_are_shown() -> None:
    found = current({"openinference.span.kind": "LLM", "input.value": "Hi?", "output.value": "Hello."}, "x")
    assert (found["gen_ai.input.messages"], found["gen_ai.output.messages"]) == ("Hi?", "Hello.")


@given(
    st.dictionaries(NAMES, st.text(max_size=3) | st.integers() | st.none()), st.sampled_from(["LLM", "TOOL", "x", 1])
)
def test_any_names_are_read_without_an_error(attributes: dict[str, Any], kind: object) -> None:
    found = current({**attributes, "openinference.span.kind": kind}, "x")
    assert attributes.items() <= found.items()
