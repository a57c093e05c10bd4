"""The chat protocol: POST /chat/completions as OpenAI's API reference has it, which many servers speak. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

PROMPT = (
    "You label items. Answer with exactly one of these labels, written as it is here, and with nothing else:\n{labels}"
)
MAX_TOKENS = 128
SAMPLING = 1.0
"""Temperature where answers are sampled to see how they vary; 0 where one is asked for."""


def request(
    model: str,
    prompt: str,
    labels: Sequence[str],
    shots: Sequence[tuple[str, str]],
    item: str,
    *,
    sampled: bool,
    logprobs: bool,
    form: str = "",
    max_tokens: int = MAX_TOKENS,
) -> dict[str, Any]:
    """`shots`: items and their labels, told as an earlier part of the talk. `form` replaces {form} in the prompt."""
    told = prompt.replace("{labels}", "\n".join(labels)).replace("{form}", form)
    messages: list[dict[str, Any]] = [{"role": "system", "content": told}]
    for shown, label in shots:
        messages += [{"role": "user", "content": _content(shown)}, {"role": "assistant", "content": label}]
    messages.append({"role": "user", "content": _content(item)})
    body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": SAMPLING if sampled else 0}
    return {**body, "logprobs": True} if logprobs else body


def read(labels: Sequence[str], answer: object) -> tuple[str | None, float | None]:
    """The label, None where the answer is not exactly one of them; and its probability, where log-probabilities came.

    The answer may be the label itself, or JSON: a text, or an object whose `label` is one.
    """
    return read_with(lambda content: _label(labels, content.strip()), answer)


def read_with(read_content: Callable[[str], str | None], answer: object) -> tuple[str | None, float | None]:
    """The same for any answer: `read_content` returns it, or None if the content holds no answer."""
    match answer:
        case {"choices": [{"message": {"content": str() as content}} as choice, *_]}:
            label = read_content(content)
            return label, None if label is None else _probability(choice)
    return None, None


def of_samples(sampled: Sequence[str | None]) -> tuple[str | None, float | None]:
    """Return the most frequent label, the first of equals, and its share of all samples, unusable ones included."""
    counts = Counter(label for label in sampled if label is not None)
    if not counts:
        return None, None
    label, n = counts.most_common(1)[0]
    return label, n / len(sampled)


def _content(item: str) -> Any:
    if item.startswith("data:image/"):
        return [{"type": "image_url", "image_url": {"url": item}}]
    return item


def _label(labels: Sequence[str], content: str) -> str | None:
    if content in labels:
        return content
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return None
    said = said.get("label") if isinstance(said, dict) else said
    return said if isinstance(said, str) and said in labels else None


def _probability(choice: Mapping[str, Any]) -> float | None:
    """Return the probability of the answer, the product over its tokens; None if log-probabilities are missing."""
    match choice.get("logprobs"):
        case {"content": [_, *_] as tokens}:
            logs = [token.get("logprob") if isinstance(token, dict) else None for token in tokens]
            if all(isinstance(log, int | float) and math.isfinite(log) for log in logs):
                return min(1.0, math.exp(math.fsum(log for log in logs if log is not None)))
    return None
