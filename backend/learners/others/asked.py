"""Describe the answer of a form of any kind to a chat model, and read the reply strictly. Pure.

A text and a date are answered as they are, every other kind with the JSON that labelloop/labeling/kinds describes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling import kinds
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds.date import format_of
from labelloop.reading import strict_json

PROMPT = "You label items. Answer with nothing but this:\n{form}"
LONGEST_REPLY = 4096
"""Most tokens of a reply."""
_MOST_SAID = 200
"""Labels of one control that the description names."""


def described(control: ControlTag) -> str:
    """Return what the whole answer to this control is, as a model is told."""
    if control.kind is Kind.TEXT:
        return "the text, without quotes around it"
    if control.kind is Kind.DATE:
        return f"a date or time written as {format_of(control)}, without quotes around it"
    return f"JSON: {_described(control)}"


def _described(control: ControlTag) -> str:
    labels = f"; the labels are {_listed(control.labels)}" if control.labels else ""
    kind = control.kind
    if kind is Kind.FORM:
        parts = "\n".join(f"- {strict_json.dumps(part.name)}: {_described(part)}" for part in control.parts)
        return f"an object with these keys, without those that have no answer\n{parts}"
    if kind is Kind.LABEL:
        return f"one of the texts {_listed(control.labels)}" if control.labels else "a text"
    if kind is Kind.LABELS:
        return f"a list of labels, [] if none applies{labels}"
    if kind is Kind.SPANS:
        return f"a list of [start, end, label], in characters from 0, the end excluded{labels}"
    if kind is Kind.NUMBER:
        steps = (("from", control.low), ("to", control.high), ("in steps of", control.step))
        return " ".join(["a number", *(f"{word} {bound:g}" for word, bound in steps if bound is not None)])
    if kind is Kind.ORDER:
        if control.buckets:
            by = f"by bucket; the buckets are {_listed(control.buckets)}"
            return f"an object of lists of item ids, the best first, {by}"
        return "a list of all item ids, the best first"
    if kind is Kind.DATE:
        return f"a text written as {format_of(control)}"
    if kind is Kind.TEXT:
        return "a text"
    geometry = kinds.geometry_of(control)
    if geometry is None:
        return f"{kind.words}{labels}"
    unit = ", with coordinates in percent of the image" if kind is Kind.REGIONS else ""
    return f"a list of objects such as {geometry.example}{unit}; [] if there are none{labels}"


def read(control: ControlTag, content: str, data: Mapping[str, Any]) -> str | None:
    """Return the canonical answer; None if the content is not exactly an answer to this form about this item."""
    try:
        if control.kind not in (Kind.TEXT, Kind.DATE):
            if len(content) > strict_json.MAX_BYTES:
                return None
            value = strict_json.loads(content.strip().encode())
        else:
            value = content
        answer = kinds.canonical(control, value)
        kinds.of(control).fits(control, answer, data)
    except (ValueError, InvalidOutput, UnicodeEncodeError):
        return None
    return answer


def agreed(control: ControlTag, sampled: Sequence[str | None]) -> tuple[str | None, float | None]:
    """Return the answer that the samples agree on as people would, and its mean agreement with all of them, unusable
    ones included. Without a clear one it is the most frequent sample.
    """
    usable = [one for one in sampled if one is not None]
    if not usable:
        return None, None
    answer, agreement = kinds.of(control).agreed(control, usable, None)
    if answer is None:
        answer = max(sorted(set(usable)), key=usable.count)
        agreement = float(usable.count(answer))
    return answer, min(1.0, agreement / len(sampled))


def _listed(words: Sequence[str]) -> str:
    more = len(words) - _MOST_SAID
    return ", ".join(strict_json.dumps(word) for word in words[:_MOST_SAID]) + (f" and {more} more" if more > 0 else "")
