"""OpenAI-style chat completions: outputs from responses as dicts, or as objects of an SDK (`model_dump`).

    openai.outputs(completions, keys, texts, labels=["billing", "delivery", "other"], model_version="prompt-4")

Ask for `logprobs=True, top_logprobs=20`: without them there is no confidence, and people are asked about each output.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from labelloop.adapters.items import about, keywords, listed, paired
from labelloop.adapters.spelled import Spelled, confidence_of, goes_on, named
from labelloop.errors import InvalidOutput, UsageError
from labelloop.labeling.config import APPROVE
from labelloop.outputs.output import Output

SHAPE = "a chat completion"
MOST_SAMPLES = 20
LEAST = -9999.0
"""The log probability that stands for 0."""
CUT = "length"
"""finish_reason of a content that was cut off. With `max_tokens=1` a whole label may be that long."""
UNREAD = ("content_filter", "tool_calls", "function_call")
"""Values of finish_reason after which the content is no answer."""


@keywords
def outputs(
    completions: Any,
    keys: Any,
    data: Any,
    *,
    labels: Sequence[str],
    json_field: str | None = None,
    otherwise: str | None = None,
    field: str = "text",
    **others: Any,
) -> Iterator[Output]:
    """Yield an output with one of `labels` for each completion.

    The label is the whole content, or the value of `json_field` in a content that is a JSON object. The case of letters
    makes no difference. Blanks, quotation marks, `*`, `_` and backticks around it and punctuation after it are left
    out. Its confidence is the probability of the tokens that spell it, by
    `logprobs`. If `top_logprobs` tell the probability of the other labels too, the output has `probabilities`.

    With several choices (`n`), the label is the most frequent one. Their texts are `evidence.samples`. The share of the
    samples is no calibrated probability, so there is no confidence, and people are asked.

    `otherwise` is the label, without confidence, of a completion that names none of them: a refusal, a tool call, a
    content that was cut off. Without it such a completion raises InvalidOutput with the key and the reason.

    `keys` and `data` have one entry a completion; a text in `data` becomes the field `field`. `model_version` and
    `produced_at` are those of the completion unless `others` has them. `others` are more fields of Output.
    """
    if len(by_name := {label.strip().casefold(): label for label in labels}) < len(labels):
        raise UsageError("two labels differ only in the case of letters or in blanks")
    for completion, key, item in _items(completions, keys, data, field):
        with about(key, SHAPE):
            read = [_label(choice, by_name, json_field) for choice in _choices(completion)]
            found = _several(read, completion) if len(read) > 1 else _single(read[0], completion, labels)
            if found is None:
                if otherwise is None:
                    raise InvalidOutput(
                        "label", f"the completion names none of the labels ({read[0].reason}); `otherwise` is for these"
                    )
                found = {"label": otherwise}
            found |= _common(completion, others)
        yield Output(key=key, data=item, **found)


@keywords
def texts(
    completions: Any,
    keys: Any,
    data: Any,
    *,
    into: str = "answer",
    label: str = APPROVE,
    field: str = "question",
    **others: Any,
) -> Iterator[Output]:
    """Yield an output for each completion whose text people judge: the text is the field `into` of its data.

    `label` is what the pipeline claims about its own text, one of the form's labels. It has no confidence, because the
    probability of a text is not the probability that the text is good. `logprobs` become
    `evidence.log_probabilities`. With several choices the first is shown, and all are `evidence.samples`.

    A refusal is shown as its text, and tool calls as JSON. Raises InvalidOutput for a completion without any of these.
    """
    for completion, key, item in _items(completions, keys, data, field):
        with about(key, SHAPE):
            choices = _choices(completion)
            shown = [_text(choice) for choice in choices]
            if not shown[0]:
                raise InvalidOutput(f"data.{into}", f"is empty ({_reason(choices[0])})")
            common = _common(completion, others)
            numbers = [min(0.0, max(LEAST, float(token["logprob"]))) for token in _tokens(choices[0])]
        evidence: dict[str, Any] | None = None
        if len(shown) > 1:
            evidence = {"samples": shown[:MOST_SAMPLES]}
        elif numbers:
            evidence = {"log_probabilities": numbers}
        yield Output(key=key, data={**item, into: shown[0]}, label=label, evidence=evidence, **common)


def _items(completions: Any, keys: Any, data: Any, field: str) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
    given = [completions] if hasattr(completions, "model_dump") else listed(completions)
    found = [one.model_dump() if hasattr(one, "model_dump") else one for one in given]
    for completion, (key, item) in zip(found, paired(keys, data, len(found), field), strict=True):
        yield completion, key, item


def _choices(completion: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = completion.get("choices") if isinstance(completion, Mapping) else None
    if not isinstance(choices, list) or not choices:
        error = completion.get("error") if isinstance(completion, Mapping) else None
        raise InvalidOutput("", f"is no chat completion: it has no choices{f' ({error})' if error else ''}")
    if any(choice.get("message") is None for choice in choices):
        raise InvalidOutput("", "is no chat completion: a choice has no message (a part of a stream has a delta)")
    return choices


def _common(completion: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Return the version and the time of the completion, unless the caller gives them."""
    found: dict[str, Any] = {"model_version": completion.get("model") or ""}
    created = completion.get("created")
    if isinstance(created, int | float) and created > 0:
        found["produced_at"] = datetime.fromtimestamp(created, UTC)
    return {**found, **others}


def _label(choice: Mapping[str, Any], by_name: Mapping[str, str], json_field: str | None) -> Spelled:
    """Return the label that a choice names and the place of it in the content, or the reason why there is none."""
    content, message = content_of(choice["message"]), choice["message"]
    ended = choice.get("finish_reason")
    if message.get("refusal") or message.get("tool_calls") or ended in UNREAD:
        return Spelled(None, reason=_reason(choice))
    if json_field is None:
        start, word = 0, content
    else:
        value, start, word = _json_value(content, json_field)
        if value is None:
            return Spelled(None, reason=f"no {json_field!r} in {content[:60]!r}")
    found = named(word, by_name)
    if found is None:
        return Spelled(None, reason=_reason(choice) if not content else f"the content is {content[:60]!r}")
    label, begin, end = found
    if ended == CUT and goes_on(label, list(by_name.values())):
        return Spelled(None, reason=_reason(choice))
    return Spelled(label, start + begin, start + end) if start >= 0 else Spelled(label)


def _json_value(content: str, field: str) -> tuple[Any, int, str]:
    """Return the value of the field in a JSON object, the position of its text, and the text.

    The position is -1 if the text of the value is not found exactly once.
    """
    begins, ends = content.find("{"), content.rfind("}")  # a code fence may be around it
    try:
        value = json.loads(content[begins : ends + 1])[field] if begins >= 0 else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, -1, ""
    if value is None or isinstance(value, dict | list):
        return None, -1, ""
    word = value if isinstance(value, str) else json.dumps(value)
    name = json.dumps(field)
    after = content.find(name) + len(name)
    start = content.find(word, after)
    between = content[after:start] if start >= 0 else ""
    sole = content.count(name) == 1 and re.fullmatch(r'\s*:\s*"?', between) is not None
    return value, start if sole else -1, word


def _single(read: Spelled, completion: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any] | None:
    if read.label is None:
        return None
    choice = _choices(completion)[0]
    return confidence_of(read, content_of(choice["message"]), _tokens(choice), labels)


def _several(read: Sequence[Spelled], completion: Mapping[str, Any]) -> dict[str, Any] | None:
    counted = Counter(one.label for one in read if one.label is not None)
    if not counted:
        return None
    samples = [_text(choice) for choice in _choices(completion)][:MOST_SAMPLES]
    return {"label": counted.most_common(1)[0][0], "evidence": {"samples": samples}}


def content_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message: its parts joined if it comes in parts, and "" if it has none."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def _text(choice: Mapping[str, Any]) -> str:
    message = choice["message"]
    if text := content_of(choice["message"]) or message.get("refusal"):
        return str(text)
    calls = [call.get("function") or call for call in message.get("tool_calls") or ()]
    return json.dumps(calls, ensure_ascii=False) if calls else ""


def _reason(choice: Mapping[str, Any]) -> str:
    message = choice["message"]
    if message.get("refusal"):
        return f"the model refused: {str(message['refusal'])[:60]!r}"
    if message.get("tool_calls"):
        return "it calls a tool"
    if choice.get("finish_reason") in (CUT, *UNREAD):
        return f"finish_reason is {choice['finish_reason']!r}"
    return "the content is empty"


def _tokens(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tokens of the content with their log probabilities; empty if there are none, or if one is missing."""
    tokens = (choice.get("logprobs") or {}).get("content") or []
    numbers = all(
        isinstance(token.get("logprob"), int | float) and not math.isnan(token["logprob"]) for token in tokens
    )
    return list(tokens) if numbers else []
