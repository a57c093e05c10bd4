"""OpenTelemetry traces: one output for each call of a language model, by the semantic conventions for generative AI.

    otlp.outputs(json.loads(request_body))

Messages are read from attributes (gen_ai.input.messages, gen_ai.output.messages), from the events of the earlier
conventions, and from numbered attributes (gen_ai.prompt.0.content). otlp_names adds those of OpenInference and
Langfuse.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from labelloop.adapters.conversation import ASSISTANT, CALL, SYSTEM, USER, Turn, as_text, data_of, document, turns
from labelloop.adapters.items import WRONG_SHAPE
from labelloop.adapters.otlp_json import Span, spans_of
from labelloop.adapters.otlp_names import current
from labelloop.errors import InvalidOutput
from labelloop.labeling.config import APPROVE
from labelloop.outputs.output import Output
from labelloop.reading.fields import MAX_WORD

CALLS = frozenset({"chat", "generate_content", "text_completion", "completion"})
"""Values of gen_ai.operation.name of a call of a model."""
DETAILS = "gen_ai.client.inference.operation.details"
ROLES = {f"gen_ai.{role}.message": role for role in (SYSTEM, USER, ASSISTANT, "tool")}
"""Role of the message that an event of the earlier conventions holds."""
META = {
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
    "finish_reasons": ("gen_ai.response.finish_reasons",),
    "operation": ("gen_ai.operation.name",),
    "provider": ("gen_ai.provider.name", "gen_ai.system"),
    "conversation": ("gen_ai.conversation.id",),
    "agent": ("gen_ai.agent.name",),
}
"""Fields of `meta`, each with its attributes, the current name first."""


def outputs(
    payload: Any, *, label: str = APPROVE, refused: Callable[[InvalidOutput], object] | None = None
) -> Iterator[Output]:
    """Yield an output for each model call among the spans of an export request (OTLP/JSON), or of a list of them.

    The key is `<trace id>/<span id>`, the step is the span's name, the source is service.name. The data has `question`,
    `answer`, `text` (both), `dialogue` and `documents`; the last two are lists of {author, text}. Tool calls and
    retrieved documents are included, also from other spans of the trace that ended before the call began. `meta` has
    tokens, `latency_s` and finish reasons. The spans may be in any order, and their parents may be missing.

    `label` is what the pipeline claims about its answer, one of the form's labels. It has no confidence, so people are
    asked. Outputs of one conversation, or of one trace, are a group.

    `refused` is called with the error of each span that cannot be an output; None raises the first one. Raises
    InvalidOutput if the payload is no export request.
    """
    by_trace: dict[str, list[Span]] = defaultdict(list)
    for span in spans_of(payload):
        if isinstance(span, Span):
            by_trace[span.trace_id].append(replace(span, attributes=current(span.attributes, span.name)))
        else:
            _refuse(span, refused)
    for spans in by_trace.values():
        spans.sort(key=lambda span: (span.start_ns, span.end_ns))
        others = [span for span in spans if _is_told(span)]
        for span in filter(_is_call, spans):
            try:
                output = _output(span, others, label)
            except InvalidOutput as exc:
                message = str(exc).removeprefix(f"{exc.path}: ")
                _refuse(InvalidOutput(exc.path, f"{message} (span {span.key})", status=exc.status), refused)
            except WRONG_SHAPE as exc:
                why = f"{type(exc).__name__}: {str(exc)[:100]}"
                _refuse(InvalidOutput("", f"does not follow the conventions: {why} (span {span.key})"), refused)
            else:
                yield output


def _refuse(error: InvalidOutput, refused: Callable[[InvalidOutput], object] | None) -> None:
    if refused is None:
        raise error
    refused(error)


def _is_call(span: Span) -> bool:
    operation = span.attributes.get("gen_ai.operation.name") or span.attributes.get("llm.request.type")
    if operation is not None:
        return str(operation) in CALLS
    return "gen_ai.output.messages" in span.attributes or any(
        name.startswith("gen_ai.completion") for name in span.attributes
    )


def _output(span: Span, spans: Sequence[Span], label: str) -> Output:
    asked, answered = _messages(span)
    if span.error and not answered:
        raise InvalidOutput("status", f"the call failed, so there is no answer: {span.error[:200]}")
    if not asked and not answered:
        raise InvalidOutput(
            "gen_ai.output.messages",
            "no messages are recorded in the span; OpenTelemetry's instrumentations record them there if the program "
            "runs with OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental and "
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY",
        )
    seen = {turn.call_id for turn in asked if turn.call_id}
    earlier = [one for one in spans if one is not span and one.end_ns <= span.start_ns]
    tools = [turn for one in earlier for turn in _tool(one) if turn.call_id not in seen]
    documents = [text for one in (*earlier, span) for text in _documents(one)]
    attributes = span.attributes
    model = attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model")
    return Output(
        key=span.key,
        data=data_of([*asked, *tools], answered, documents),
        label=label,
        model_version=_word(model),
        produced_at=span.ended_at,
        group=_word(attributes.get("gen_ai.conversation.id")) or span.trace_id,
        source=_word(span.resource.get("service.name")),
        trace=span.trace_id,
        step=_word(span.name),
        meta=_meta(span),
    )


def _messages(span: Span) -> tuple[list[Turn], list[Turn]]:
    """Return the turns before the answer, and those of the answer."""
    for found in (span.attributes, *(given for name, given in span.events if name == DETAILS)):
        if "gen_ai.output.messages" in found or "gen_ai.input.messages" in found:
            system = turns(found.get("gen_ai.system_instructions"), SYSTEM)
            asked = turns(found.get("gen_ai.input.messages"), USER)
            return system + asked, turns(found.get("gen_ai.output.messages"), ASSISTANT)
    asked, answered = list[Turn](), list[Turn]()
    for name, given in span.events:
        if name == "gen_ai.choice":
            answered += turns([_with_message(given)], ASSISTANT)
        elif name in ROLES:
            asked += turns([given], ROLES[name])
        elif name in ("gen_ai.content.prompt", "gen_ai.content.completion"):
            asked += turns(given.get("gen_ai.prompt"), USER)
            answered += turns(given.get("gen_ai.completion"), ASSISTANT)
    if asked or answered:
        return asked, answered
    prompt, completion = (
        turns(_numbered(span.attributes, f"gen_ai.{name}") or span.attributes.get(f"gen_ai.{name}"), role)
        for name, role in (("prompt", USER), ("completion", ASSISTANT))
    )
    return prompt, completion


def _with_message(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event with its `message` as an object; some libraries write it as JSON text."""
    message = event.get("message")
    return {"parts": [turn.text for turn in turns(message, ASSISTANT)]} if isinstance(message, str) else event


def _numbered(attributes: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the messages in attributes such as gen_ai.prompt.0.role and gen_ai.prompt.0.tool_calls.0.name."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    calls: dict[int, dict[int, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for path, value in attributes.items():
        if match := re.fullmatch(rf"{re.escape(name)}\.(\d{{1,6}})\.tool_calls\.(\d{{1,6}})\.(\w+)", path):
            calls[int(match[1])][int(match[2])][match[3]] = value
        elif match := re.fullmatch(rf"{re.escape(name)}\.(\d{{1,6}})\.(\w+)", path):
            found[int(match[1])][match[2]] = value
    for place, of_message in calls.items():
        found[place]["tool_calls"] = [of_message[n] for n in sorted(of_message)]
    return [found[place] for place in sorted(found)]


def _is_told(span: Span) -> bool:
    """Whether later calls of the trace may show a tool call or documents of this span."""
    given = span.attributes
    return given.get("gen_ai.operation.name") == "execute_tool" or any("retrieval.documents" in name for name in given)


def _tool(span: Span) -> list[Turn]:
    """Return the call and the result of a tool that a span of its own records."""
    given = span.attributes
    if given.get("gen_ai.operation.name") != "execute_tool":
        return []
    call_id = as_text(given.get("gen_ai.tool.call.id"))
    call = f"{given.get('gen_ai.tool.name') or span.name}({as_text(given.get('gen_ai.tool.call.arguments'))})"
    result = as_text(given.get("gen_ai.tool.call.result"))
    return [Turn(CALL, call, call_id), *([Turn("tool", result, call_id)] if result else [])]


def _documents(span: Span) -> list[str]:
    """Return the documents that a span retrieved."""
    given = span.attributes
    found = given.get("gen_ai.retrieval.documents")
    if found is not None:
        return [text for one in _listed(found) if (text := document(one))]
    numbered: dict[int, Any] = {}
    for path, value in given.items():
        if match := re.fullmatch(r"retrieval\.documents\.(\d{1,6})\.document\.content", path):
            numbered[int(match[1])] = value
    return [as_text(numbered[place]) for place in sorted(numbered)]


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    try:
        found = json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return [value]
    return found if isinstance(found, list) else [found]


def _meta(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, places in META.items():
        value = next((span.attributes[place] for place in places if span.attributes.get(place) is not None), None)
        if value is not None:
            found[name] = value
    if span.start_ns and span.end_ns >= span.start_ns:
        found["latency_s"] = round((span.end_ns - span.start_ns) / 1e9, 6)
    if span.error:
        found["error"] = span.error[:MAX_WORD]
    return found


def _word(value: Any) -> str | None:
    """Return the beginning of a text that names something; None if there is none."""
    return as_text(value)[:MAX_WORD] or None
