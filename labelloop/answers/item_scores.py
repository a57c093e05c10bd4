"""Item scores: how right an answer is beside the true one, 0 (wrong) to 1 (the same), for each kind of answer; pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.structured import read_labels, read_number, read_spans


def item_score(config: LabelingConfig, answer: str, said: str | None) -> float:
    """How right `said` is where people say `answer`; both as tables hold them. 0 where nothing was said.

    One label: 0 or 1. Several labels: Jaccard's index of the two sets, as Godbole and Sarawagi 2004 ("Discriminative
    methods for multi-labeled classification", section 4) score multi-label classifiers. Spans: F1 of the spans that are
    exactly the same, as CoNLL counts them (Tjong Kim Sang and De Meulder 2003), within the item. Numbers: see
    `number_score`.
    """
    if said is None:
        return 0.0
    if said == answer:
        return 1.0
    return item_score_of_control(config.answer, answer, said)


def item_score_of_control(control: ControlTag, answer: str, said: str) -> float:
    """As item_score, of answers to this control. What cannot be read is wrong."""
    try:
        if control.kind is Kind.LABELS:
            return jaccard(read_labels(answer), read_labels(said))
        if control.kind is Kind.SPANS:
            return f1(read_spans(answer), read_spans(said))
        if control.kind is Kind.NUMBER:
            return number_score(control, read_number(answer), read_number(said))
    except ValueError:
        return 0.0
    return float(answer == said)


def jaccard(one: Collection[Any], other: Collection[Any]) -> float:
    """|both| / |either|; two empty sets are the same (Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x)."""
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0


def f1(one: Collection[Any], other: Collection[Any]) -> float:
    """2 |both| / (|one| + |other|), which is the same whoever is taken for the truth; two empty sets are the same."""
    first, second = set(one), set(other)
    return 2 * len(first & second) / (len(first) + len(second)) if first or second else 1.0


def number_score(control: ControlTag, answer: float, said: float) -> float:
    """1 - |answer - said| / range, at least 0. The range is that of the control; where it has none, the larger of the
    two numbers by size, so that half and double are 0.5.
    """
    range_ = width_of(control) or max(abs(answer), abs(said)) or 1.0
    return max(0.0, 1.0 - abs(answer - said) / range_)


def width_of(control: ControlTag) -> float | None:
    """How far apart two answers to this control can be; None: there is no bound."""
    return None if control.low is None or control.high is None else control.high - control.low
