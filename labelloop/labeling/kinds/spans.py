"""Spans of a text: a JSON list of [start, end, label], sorted; characters (code points), the end excluded.

Consensus: each exact span that more than half gave; agreement is the mean F1 with each reviewer's spans, after Hripcsak
and Rothschild 2005 (doi:10.1197/jamia.M1733), who measure it without true negatives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from labelloop.labeling.controls import ControlTag
from labelloop.labeling.kinds.reading import has, known, value_of
from labelloop.labeling.kinds.sets import f1, given_by_most
from labelloop.reading import paths, strict_json
from labelloop.reading.addresses import holds_address
from labelloop.reading.texts import text_of


class Span(NamedTuple):
    start: int
    end: int
    """Excluded: the character after the span."""
    label: str


def write_spans(spans: Iterable[Span]) -> str:
    return strict_json.dumps(sorted(set(spans)))


def read_spans(answer: object) -> list[Span]:
    """Return the spans in the order of the text. Raises ValueError if it is not a list of [start, end, label]."""
    wanted = 'must be a list of spans, such as [[0, 4, "person"]]'
    found = value_of(answer, wanted)
    if not isinstance(found, list):
        raise ValueError(wanted)
    spans = []
    for one in found:
        match one:
            case [int() as start, int() as end, str() as label] if 0 <= start < end and type(start) is type(end) is int:
                spans.append(Span(start, end, label))
            case _:
                raise ValueError(f"a span is [start, end, label] with 0 <= start < end; one is {str(one)[:80]}")
    return spans


def canonical(control: ControlTag, answer: object) -> str:
    return write_spans(span._replace(label=known(control, span.label)) for span in read_spans(answer))


def nearest(control: ControlTag, answer: str) -> str:
    spans = (span for span in read_spans(answer) if has(control, span.label))
    return write_spans(span._replace(label=control.shown(span.label)) for span in spans)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    marked = [read_spans(answer) for answer in answers]
    spans = given_by_most(marked)
    return (None, 0.0) if spans is None else (write_spans(spans), sum(f1(spans, one) for one in marked))


def score(control: ControlTag, answer: str, predicted: str) -> float:
    """Return F1 of the spans that are exactly the same within the item.

    So CoNLL counts them (Tjong Kim Sang and De Meulder 2003).
    """
    return f1(read_spans(answer), read_spans(predicted))


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    return {}


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    return tuple(sorted({span.label for span in read_spans(answer)}))


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    is_text = control.data_field and not holds_address(control.over, control.over_attributes)
    text = text_of(paths.value_at(data, control.data_field)) if is_text else None
    ends = [span.end for span in read_spans(answer)]
    if text is not None and ends and max(ends) > len(text):
        raise ValueError(f"a span ends at {max(ends)}; the text has {len(text)} characters")
