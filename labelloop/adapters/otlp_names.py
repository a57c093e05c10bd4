"""Attributes that OpenInference and the SDK of Langfuse write, under the names of OpenTelemetry's conventions.

Both send their spans by OTLP, with names of their own for the messages and for the kind of a span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

INPUT, OUTPUT, OPERATION = "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.operation.name"
CHAT, TOOL, RETRIEVAL = "chat", "execute_tool", "retrieval"
MAX_PARTS = 12
"""Names with more parts between dots are left out."""
OPENINFERENCE = {
    "gen_ai.request.model": ("llm.model_name",),
    "gen_ai.provider.name": ("llm.provider", "llm.system"),
    "gen_ai.usage.input_tokens": ("llm.token_count.prompt",),
    "gen_ai.usage.output_tokens": ("llm.token_count.completion",),
    "gen_ai.response.finish_reasons": ("llm.finish_reason",),
    "gen_ai.conversation.id": ("session.id",),
}
LANGFUSE = {
    "gen_ai.request.model": ("langfuse.observation.model.name",),
    "gen_ai.conversation.id": ("session.id", "langfuse.session.id"),
}
"""Attributes by the conventions, each with those of the library, the first choice first."""


def current(attributes: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the attributes of a span, with those of the conventions added. `name`: the span's name.

    An attribute that is there already stays. Attributes of other libraries are returned as they are.
    """
    found = dict(attributes)
    for kind_of, names, messages in (
        ("openinference.span.kind", OPENINFERENCE, _openinference),
        ("langfuse.observation.type", LANGFUSE, _langfuse),
    ):
        kind = attributes.get(kind_of)
        if isinstance(kind, str):
            _add(found, names, messages, kind.lower(), name)
    return found


def _add(
    found: dict[str, Any],
    names: Mapping[str, Sequence[str]],
    messages: Callable[[Mapping[str, Any]], tuple[Any, Any]],
    kind: str,
    name: str,
) -> None:
    asked, answered = messages(found)
    match kind:
        case "llm" | "generation":
            more = {OPERATION: CHAT, INPUT: asked, OUTPUT: answered}
        case "tool":
            called = found.get("tool.name", name)
            more = {OPERATION: TOOL, "gen_ai.tool.name": called}
            more |= {"gen_ai.tool.call.arguments": asked, "gen_ai.tool.call.result": answered}
        case "retriever":
            more = {OPERATION: RETRIEVAL}
            if not any(one.startswith("retrieval.documents.") for one in found):
                more["gen_ai.retrieval.documents"] = answered
        case _:
            return
    for wanted, places in names.items():
        more[wanted] = next((found[place] for place in places if found.get(place) is not None), None)
    for wanted, value in more.items():
        if value is not None:
            found.setdefault(wanted, value)


def _openinference(given: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the messages before the answer and those of the answer, else the input and the output as they are."""
    asked, answered = (
        [_message(one) for one in _several(_nested(given, f"llm.{which}_messages."))] for which in ("input", "output")
    )
    if asked or answered:
        return asked, answered
    return given.get("input.value"), given.get("output.value")


def _langfuse(given: Mapping[str, Any]) -> tuple[Any, Any]:
    return given.get("langfuse.observation.input"), given.get("langfuse.observation.output")


def _message(one: Any) -> dict[str, Any]:
    """Return a message in the shape of OpenAI's."""
    message = _object(_object(one).get("message"))
    parts = [_part(_object(_object(part).get("message_content"))) for part in _several(message.get("contents"))]
    calls = [_object(_object(call).get("tool_call")) for call in _several(message.get("tool_calls"))]
    return {
        "role": message.get("role"),
        "content": parts or message.get("content"),
        "tool_calls": calls,
        "tool_call_id": message.get("tool_call_id"),
    }


def _part(content: Mapping[str, Any]) -> dict[str, Any]:
    url = _object(_object(content.get("image")).get("image")).get("url")
    return {"type": content.get("type"), "text": content.get("text"), **({"url": url} if url else {})}


def _nested(attributes: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the attributes below a prefix, an object for each dot: `a.0.b` becomes {"a": {"0": {"b": ...}}}."""
    whole: dict[str, Any] = {}
    for name, value in attributes.items():
        parts = name.removeprefix(prefix).split(".")
        if not name.startswith(prefix) or len(parts) > MAX_PARTS:
            continue
        place = whole
        for part in parts[:-1]:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = place[part] = {}
            place = inner
        place.setdefault(parts[-1], value)
    return whole


def _several(numbered: Any) -> list[Any]:
    """Return the values of an object whose names are numbers, in their order."""
    places = [name for name in _object(numbered) if name.isascii() and name.isdecimal() and len(name) <= 6]
    return [numbered[place] for place in sorted(places, key=int)]


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
