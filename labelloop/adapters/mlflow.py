"""MLflow traces: one output for each trace, from Trace objects, their dicts, or the DataFrame of `search_traces`.

mlflow.outputs(mlflow_client.search_traces(locations=[experiment_id]))
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labelloop.adapters.conversation import ASSISTANT, CALL, USER, Turn, as_text, data_of, document, turns
from labelloop.adapters.items import WRONG_SHAPE, is_frame, listed, records
from labelloop.errors import InvalidOutput
from labelloop.labeling.config import APPROVE
from labelloop.outputs.output import MLFLOW_TRACE_ID, Output
from labelloop.reading.fields import MAX_WORD

MODELS = frozenset({"CHAT_MODEL", "LLM"})
QUESTIONS = ("question", "query", "input", "inputs", "prompt", "text")
ANSWERS = ("answer", "output", "outputs", "response", "content", "text", "result")


def outputs(
    traces: Any, *, label: str = APPROVE, refused: Callable[[InvalidOutput], object] | None = None
) -> Iterator[Output]:
    """Yield an output for each trace; its key is the trace's id, so that an answer can go back to the trace.

    The data has `question`, `answer`, `text` (both), `dialogue` and `documents`; the last two are lists of {author,
    text}. The messages are those of the last model call, with the results of tools and retrievers. The step is the
    trace's name. `meta` has tokens, `latency_s`, the state and `mlflow_trace_id`. Traces of one session are a group.

    `label` is what the pipeline claims about its answer, one of the form's labels. It has no confidence, so people are
    asked. `refused` is called with the error of each trace that cannot be an output; None raises the first one.
    """
    for trace in _each(traces):
        try:
            output = _output(trace, label)
        except InvalidOutput as exc:
            error = exc
        except WRONG_SHAPE as exc:
            error = InvalidOutput("", f"does not have the shape of a trace: {type(exc).__name__}: {str(exc)[:100]}")
        else:
            yield output
            continue
        if refused is None:
            raise error
        refused(error)


def _each(traces: Any) -> Iterator[Any]:
    if is_frame(traces):
        for row in records(traces):
            yield row["trace"] if row.get("trace") is not None else row
    else:
        yield from [traces] if hasattr(traces, "to_dict") else listed(traces)


def _output(trace: Any, label: str) -> Output:
    found = trace.to_dict() if hasattr(trace, "to_dict") else _read(trace)
    info = found.get("info") if isinstance(found, Mapping) else None
    if not isinstance(info, Mapping) or not (key := info.get("trace_id") or info.get("request_id")):
        raise InvalidOutput("info.trace_id", "is missing; an MLflow trace is wanted")
    data = found.get("data")
    spans = _spans(data.get("spans") if isinstance(data, Mapping) else None)
    root = next((span for span in spans if not span.get("parent_span_id")), spans[0] if spans else {})
    calls = [span for span in spans if span["type"] in MODELS]
    last = calls[-1] if calls else root
    metadata, tags = (info.get(name) or {} for name in ("trace_metadata", "tags"))
    asked = turns(_messages(last.get("inputs")), USER) or _said(root.get("inputs"), info, "request", USER, QUESTIONS)
    if not any(turn.author in (CALL, "tool") for turn in asked):
        asked = [*asked, *(turn for span in spans if span["type"] == "TOOL" for turn in _tool(span))]
    answered = _said(root.get("outputs"), info, "response", ASSISTANT, ANSWERS)
    documents = [text for span in spans if span["type"] == "RETRIEVER" for text in _documents(span)]
    model = _read(last.get("attributes", {}).get("mlflow.llm.model")) or metadata.get("mlflow.modelId")
    try:
        shown = data_of(asked, answered, documents)
    except InvalidOutput as exc:
        message = str(exc).removeprefix(f"{exc.path}: ")
        raise InvalidOutput(exc.path, f"{message} (trace {key})", status=exc.status) from None
    return Output(
        key=str(key),
        data=shown,
        label=label,
        model_version=_word(model),
        produced_at=_time(info),
        group=_word(metadata.get("mlflow.trace.session")) or str(key)[:MAX_WORD],
        source=_word(metadata.get("mlflow.source.name")),
        trace=str(key),
        step=_word(tags.get("mlflow.traceName") or root.get("name")),
        meta={MLFLOW_TRACE_ID: str(key), **_meta(info, metadata)},
    )


def _spans(several: Any) -> list[dict[str, Any]]:
    """Return the spans by their start, each with its `type`, `inputs` and `outputs` as plain values."""
    found = []
    for span in several if isinstance(several, list) else ():
        if not isinstance(span, Mapping):
            continue
        attributes = span.get("attributes") or {}
        plain = {name: _read(attributes.get(f"mlflow.span{name}")) for name in ("Type", "Inputs", "Outputs")}
        found.append({**span, "type": plain["Type"], "inputs": plain["Inputs"], "outputs": plain["Outputs"]})
    return sorted(found, key=lambda span: int(span.get("start_time_unix_nano") or span.get("start_time") or 0))


def _messages(inputs: Any) -> Any:
    return inputs.get("messages") if isinstance(inputs, Mapping) else inputs if isinstance(inputs, list) else None


def _said(value: Any, info: Mapping[str, Any], preview: str, role: str, names: Sequence[str]) -> list[Turn]:
    """Return the turns in the inputs or outputs of the first span; those of the preview if it has none."""
    if value is None:
        value = _read(info.get(f"{preview}_preview") or info.get(preview))
    if isinstance(value, Mapping):
        choices = value.get("choices")
        if isinstance(choices, list) and choices:
            return turns(choices[:1], role)
        if isinstance(value.get("messages"), list):
            found = turns(value["messages"], role)
            return found if role == USER else found[-1:]
        if "role" in value:
            return turns([value], role)
        value = next((value[name] for name in names if value.get(name)), value)
    return [Turn(role, text)] if (text := as_text(value)) else []


def _tool(span: Mapping[str, Any]) -> list[Turn]:
    call = Turn(CALL, f"{span.get('name') or 'tool'}({as_text(span['inputs'])})")
    result = as_text(span["outputs"])
    return [call, Turn("tool", result)] if result else [call]


def _documents(span: Mapping[str, Any]) -> list[str]:
    found = span["outputs"]
    return [text for one in (found if isinstance(found, list) else [found]) if (text := document(one))]


def _meta(info: Mapping[str, Any], metadata: Mapping[str, Any]) -> dict[str, Any]:
    used = _read(metadata.get("mlflow.trace.tokenUsage"))
    found = {
        name: used[name] for name in ("input_tokens", "output_tokens") if isinstance(used, Mapping) and name in used
    }
    took = info.get("execution_duration_ms", info.get("execution_time_ms"))
    if isinstance(took, int | float):
        found["latency_s"] = took / 1000
    state = info.get("state") or info.get("status")
    return {**found, "state": str(state)} if state else found


def _time(info: Mapping[str, Any]) -> datetime | None:
    at = info.get("request_time", info.get("timestamp_ms"))
    try:
        if isinstance(at, str):
            return datetime.fromisoformat(at)
        return None if at is None else datetime.fromtimestamp(int(at) / 1000, UTC)
    except (ValueError, TypeError, OverflowError):
        raise InvalidOutput("info.request_time", f"is no time: {str(at)[:40]!r}") from None


def _read(value: Any) -> Any:
    """Return the value of a JSON text, and anything else as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return value


def _word(value: Any) -> str | None:
    return as_text(value)[:MAX_WORD] or None
