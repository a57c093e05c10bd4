"""Tokens: the spans of a text from the labelled tokens of a sequence model, with the prefixes B- I- E- L- S- U-."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from labelloop.errors import InvalidOutput

OUTSIDE = "O"
_FIRST, _ALONE, _LAST = "BSU", "SU", "EL"
Span = tuple[int, int, str]


def spans_of(
    tokens: Iterable[Mapping[str, Any]], text: str, names: Mapping[str, str]
) -> tuple[list[Span], list[float]]:
    """Return the spans (start, end, label), in characters, the end excluded, and the score of each token or group.

    An aggregated result has `entity_group`, any other `entity`. A score that is not a number is left out, with all
    others: then the confidence of the item is unknown. `names` replaces labels, with their prefix or without it.

    Raises InvalidOutput for missing offsets.
    """
    spans: list[Span] = []
    scores: list[float] = []
    last: int | None = None
    is_open = False
    for place, token in enumerate(tokens):
        scores.append(float(token["score"]))
        whole = token.get("entity_group")
        prefix, label = _divided(token["entity"], names) if whole is None else ("", names.get(whole, whole))
        if label == OUTSIDE:
            is_open = False
            continue
        start, end = _ends(token, place, text)
        index = token.get("index")
        follows = is_open and (last is None or index is None or index == last + 1)
        part = whole is None and bool(spans) and spans[-1][2] == label and follows
        begins = prefix in _FIRST and bool(prefix) and not str(token.get("word", "")).startswith("##")
        if part and not begins:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]), label)
        else:
            spans.append((start, end, label))
        is_open = not (prefix and prefix in _ALONE + _LAST)
        last = index
    return spans, scores if all(math.isfinite(score) for score in scores) else []


def _divided(entity: str, names: Mapping[str, str]) -> tuple[str, str]:
    """Return the prefix, "" if there is none, and the label by its name."""
    if entity in names:
        return _divided(names[entity], {})
    if len(entity) > 2 and entity[1] == "-" and entity[0] in "BIELSU":
        return entity[0], names.get(entity[2:], entity[2:])
    return "", entity


def _ends(token: Mapping[str, Any], place: int, text: str) -> tuple[int, int]:
    start, end = token.get("start"), token.get("end")
    if start is None or end is None:
        raise InvalidOutput(f"label[{place}]", "has no start and end; use a fast tokenizer, which gives offsets")
    start, end = int(start), int(end)
    if not 0 <= start < end <= len(text):
        raise InvalidOutput(
            f"label[{place}]", f"goes from {start} to {end}, and the text has {len(text)} characters; is it this text?"
        )
    while start < end - 1 and text[start].isspace():  # some tokenizers count the blank before a word
        start += 1
    return start, end
