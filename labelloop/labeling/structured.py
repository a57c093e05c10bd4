"""Structured answers as texts, the form in which tables, learners and gates hold them. Pure.

one label        the label itself
several labels   a JSON list of them, sorted: ["late","rude"]
spans            a JSON list of [start, end, label], sorted; characters (code points) of the text, the end excluded
a number         its shortest decimal: 4, 3.5

A text is canonical, so that equal answers are equal texts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from labelloop.errors import InvalidOutput
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.reading import strict_json

LARGEST = 1e15
"""Largest number of an answer: a float beyond it no longer counts exactly."""


class Span(NamedTuple):
    start: int
    end: int
    """Excluded: the character after the span."""
    label: str


def write_labels(labels: Iterable[str]) -> str:
    return strict_json.dumps(sorted(set(labels)))


def read_labels(answer: object) -> list[str]:
    """Return the labels in the order of the text. Raises ValueError if it is not a list of texts; a list is used as it
    is.
    """
    found = _json(answer)
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise ValueError('must be a list of labels, such as ["a", "b"]')
    return found


def write_spans(spans: Iterable[Span]) -> str:
    return strict_json.dumps(sorted(set(spans)))


def read_spans(answer: object) -> list[Span]:
    """Return the spans in the order of the text. Raises ValueError if it is not a list of [start, end, label]."""
    found = _json(answer)
    if not isinstance(found, list):
        raise ValueError('must be a list of spans, such as [[0, 4, "person"]]')
    spans = []
    for one in found:
        match one:
            case [int() as start, int() as end, str() as label] if 0 <= start < end and type(start) is type(end) is int:
                spans.append(Span(start, end, label))
            case _:
                raise ValueError(f"a span is [start, end, label] with 0 <= start < end; one is {str(one)[:80]}")
    return spans


def write_number(number: float) -> str:
    text = format(Decimal(repr(float(number))), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def read_number(answer: object) -> float:
    """Return the number. Raises ValueError if it is not finite, or larger than LARGEST."""
    try:
        number = math.nan if isinstance(answer, bool) else float(answer)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not abs(number) <= LARGEST:
        raise ValueError(f"must be a number up to {LARGEST:g} by size; it is {str(answer)[:40]!r}")
    return number


def text(answer: object) -> str | None:
    """Return an answer as a text. It may be given as a text, canonical or not, or as its JSON value."""
    if answer is None or isinstance(answer, str):
        return answer
    return write_number(answer) if isinstance(answer, int | float) else strict_json.dumps(answer)


def canonical(control: ControlTag, answer: object) -> str:
    """Return the canonical text of an answer, from its text or its JSON value.

    Raises ValueError, with the reason, if this control cannot give the answer.
    """
    if control.kind is Kind.LABELS:
        return write_labels(_known(control, label) for label in read_labels(answer))
    if control.kind is Kind.SPANS:
        return write_spans(span._replace(label=_known(control, span.label)) for span in read_spans(answer))
    if control.kind is Kind.NUMBER:
        number = read_number(answer)
        if not (control.low is None or control.low <= number) or not (control.high is None or number <= control.high):
            raise ValueError(f"must lie between {_edge(control.low)} and {_edge(control.high)}; it is {number:g}")
        return write_number(number)
    if not isinstance(answer, str):
        raise ValueError("must be a text")
    return _known(control, answer)


def nearest_answer(control: ControlTag, answer: str) -> str | None:
    """Return the nearest answer that this control can give; None if there is none.

    A number is moved into its bounds and to one of its steps. Labels that the control does not have are left out.
    """
    try:
        if control.kind is Kind.NUMBER:
            number, first = read_number(answer), control.low or 0.0
            if control.step:
                number = round(first + math.floor((number - first) / control.step + 0.5) * control.step, 9)
            number = max(number, number if control.low is None else control.low)
            return write_number(min(number, number if control.high is None else control.high))
        if control.kind is Kind.LABELS:
            return write_labels(control.shown(label) for label in read_labels(answer) if _has(control, label))
        if control.kind is Kind.SPANS:
            spans = (span for span in read_spans(answer) if _has(control, span.label))
            return write_spans(span._replace(label=control.shown(span.label)) for span in spans)
        return canonical(control, answer)
    except ValueError:
        return None


def _known(control: ControlTag, label: str) -> str:
    if not _has(control, label):
        shown = ", ".join(control.labels[:20]) + (", ..." if len(control.labels) > 20 else "")
        raise ValueError(f"no such label {label[:40]!r}; there are: {shown}")
    return control.shown(label)


def _has(control: ControlTag, label: str) -> bool:
    return not control.labels or control.shown(label) in control.known


def _edge(bound: float | None) -> str:
    return "any number" if bound is None else f"{bound:g}"


def _json(answer: object) -> Any:
    if not isinstance(answer, str):
        return answer
    try:
        return strict_json.loads(answer.encode())
    except (InvalidOutput, UnicodeEncodeError) as exc:
        raise ValueError(f"is not a JSON list: {exc}") from None
