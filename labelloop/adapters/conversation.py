"""Conversations: the messages of a language model, in the shapes that programs record, as turns for people to read.

Label Studio shows the field `dialogue` with <Paragraphs value="$dialogue" layout="dialogue" nameKey="author"
textKey="text"/>.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from labelloop.errors import InvalidOutput
from labelloop.reading.strict_json import MAX_BYTES

CALL, ROLE_OF_TOOLS = "tool call", "tool"
USER, ASSISTANT, SYSTEM = "user", "assistant", "system"


class Turn(NamedTuple):
    author: str
    text: str
    call_id: str = ""
    """Id of the tool call that it makes or answers; "" if there is none."""


def turns(messages: Any, role: str) -> list[Turn]:
    """Return the turns of recorded messages; `role` is the author of a message without one.

    Messages are a list, its JSON text, or one text. A message has `parts` (OpenTelemetry), or `content` and
    `tool_calls` (OpenAI).
    """
    found = _parsed(messages)
    if isinstance(found, Mapping) and isinstance(found.get("messages"), list):
        found = found["messages"]
    several = found if isinstance(found, list) else [] if found is None else [found]
    return [turn for message in several for turn in _of_message(message, role) if turn.text]


def data_of(asked: Sequence[Turn], answered: Sequence[Turn], documents: Sequence[str] = ()) -> dict[str, Any]:
    """Return the fields that people see: `question`, `answer`, `text` (both), `dialogue` and `documents`.

    The question is the last turn of the user. Documents stand at the beginning of the dialogue. Raises InvalidOutput if
    there is no answer, or if the texts have more bytes than an output may have.
    """
    answer = "\n\n".join(turn.text for turn in answered)
    if not answer:
        raise InvalidOutput("data.answer", "is empty: no message of the model is recorded")
    questions = [turn.text for turn in asked if turn.author == USER]
    question = questions[-1] if questions else ""
    shown = [*(Turn("document", text) for text in documents), *asked, *answered]
    size = sum(len(turn.text.encode(errors="replace")) for turn in shown)
    if size > MAX_BYTES:
        raise InvalidOutput("data.dialogue", f"has {size} bytes; an output has at most {MAX_BYTES}", status=413)
    return {
        "question": question,
        "answer": answer,
        "text": f"{question}\n\n{answer}" if question else answer,
        "dialogue": [{"author": turn.author, "text": turn.text} for turn in shown],
        "documents": [{"author": f"document {n}", "text": text} for n, text in enumerate(documents, start=1)],
    }


def document(value: Any) -> str:
    """Return the text of a retrieved document; its id, or its JSON text, if it has none."""
    if isinstance(value, Mapping):
        for name in ("content", "text", "page_content", "document.content", "id", "document.id"):
            if value.get(name):
                return as_text(value[name])
    return as_text(value)


def as_text(value: Any) -> str:
    """Return a text as it is, None as "", and anything else as its JSON text."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False, default=str)


def _parsed(messages: Any) -> Any:
    if not isinstance(messages, str) or not messages.lstrip().startswith(("[", "{")):
        return messages
    try:
        return json.loads(messages)
    except (ValueError, RecursionError):
        return messages


def _of_message(message: Any, role: str) -> list[Turn]:
    if not isinstance(message, Mapping):
        return [Turn(role, as_text(message))]
    inner = message.get("message")  # the event gen_ai.choice has its message one level below
    if isinstance(inner, Mapping):
        return _of_message(inner, role)
    inner = message.get("kwargs")  # a message of LangChain
    if isinstance(inner, Mapping):
        return _of_message({"role": _langchain_role(message, role), **inner, "type": None}, role)
    author = str(message.get("role") or message.get("name") or role)
    if message.get("type") and "role" not in message:  # a part of system instructions
        return [_of_part(message, author)]
    call_id = str(message.get("tool_call_id") or message.get("id") or "") if author == ROLE_OF_TOOLS else ""
    parts = message.get("parts", message.get("content"))
    several = parts if isinstance(parts, list) else [parts]
    found = [_of_part(part, author) if isinstance(part, Mapping) else Turn(author, as_text(part)) for part in several]
    found = [turn._replace(call_id=turn.call_id or call_id) for turn in found]
    calls = message.get("tool_calls")
    calls = calls if isinstance(calls, list) else []
    known = {"role", "parts", "content", "tool_calls", "type"}
    if not calls and not any(turn.text for turn in found) and not message.keys() & {"parts", "content"}:
        rest = {name: value for name, value in message.items() if name not in known and value is not None}
        return [Turn(author, as_text(rest))] if rest else []
    return found + [_call(call, call.get("function") or call) for call in calls if isinstance(call, Mapping)]


def _langchain_role(message: Mapping[str, Any], role: str) -> str:
    """Return the role of a message that LangChain has serialized, by the name of its class."""
    names = {"HumanMessage": USER, "AIMessage": ASSISTANT, "SystemMessage": SYSTEM, "ToolMessage": ROLE_OF_TOOLS}
    path = message.get("id")
    name = str(path[-1]).removesuffix("Chunk") if isinstance(path, list) and path else ""
    return names.get(name, role)


def _of_part(part: Mapping[str, Any], author: str) -> Turn:
    """Return a part of a message: a text, reasoning, a tool call or its response, a picture or a file."""
    match part.get("type"):
        case "text" | "input_text" | "output_text":
            return Turn(author, as_text(part.get("content", part.get("text"))))
        case "reasoning":
            return Turn(f"{author} (reasoning)", as_text(part.get("content", part.get("text"))))
        case "tool_call" | "tool_use" | "function_call":
            return _call(part, part)
        case "tool_call_response" | "tool_result":
            given = part.get("response", part.get("result", part.get("content")))
            return Turn(ROLE_OF_TOOLS, as_text(given), str(part.get("id") or part.get("tool_use_id") or ""))
        case "blob" | "uri" | "file" | "image_url" | "image":
            at = part.get("uri") or part.get("file_id") or part.get("url") or ""
            return Turn(
                author, f"[{part.get('modality') or part['type']}{f': {at}' if isinstance(at, str) and at else ''}]"
            )
    return Turn(author, as_text(part.get("content") or part.get("text") or dict(part)))


def _call(call: Mapping[str, Any], function: Mapping[str, Any]) -> Turn:
    arguments = as_text(function.get("arguments", function.get("input")))
    return Turn(CALL, f"{function.get('name') or 'tool'}({arguments})", str(call.get("id") or ""))
