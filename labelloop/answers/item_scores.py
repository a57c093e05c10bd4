"""Item scores: how correct an answer is against the agreed one, from 0 (incorrect) to 1 (the same), by kind. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.structured import read_labels, read_number, read_spans


def item_score(config: LabelingConfig, answer: str, predicted: str | None) -> float:
    """Return how correct `predicted` is if people agree on `answer`, both as tables hold them. It is 0 without a
    prediction.

    One label: 0 or 1. Several labels: the Jaccard index of the two sets, as Godbole and Sarawagi 2004 ("Discriminative
    methods for multi-labeled classification", section 4) score multi-label classifiers. Spans: F1 of the spans that are
    exactly the same within the item, as CoNLL counts them (Tjong Kim Sang and De Meulder 2003). Numbers: see
    `number_score`.
    """
    if predicted is None:
        return 0.0
    if predicted == answer:
        return 1.0
    return item_score_of_control(config.answer, answer, predicted)


def item_score_of_control(control: ControlTag, answer: str, predicted: str) -> float:
    """Return the item score of an answer to this control; an answer that cannot be read is incorrect."""
    try:
        if control.kind is Kind.LABELS:
            return jaccard(read_labels(answer), read_labels(predicted))
        if control.kind is Kind.SPANS:
            return f1(read_spans(answer), read_spans(predicted))
        if control.kind is Kind.NUMBER:
            return number_score(control, read_number(answer), read_number(predicted))
    except ValueError:
        return 0.0
    return float(answer == predicted)


def jaccard(one: Collection[Any], other: Collection[Any]) -> float:
    """Return |both| / |either|; two empty sets are the same (Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x)."""
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0


def f1(one: Collection[Any], other: Collection[Any]) -> float:
    """Return 2 |both| / (|one| + |other|), which is symmetric; two empty sets are the same."""
    first, second = set(one), set(other)
    return 2 * len(first & second) / (len(first) + len(second)) if first or second else 1.0


def number_score(control: ControlTag, answer: float, predicted: float) -> float:
    """Return 1 - |answer - predicted| / range, at least 0.

    The range is that of the control. Without one it is the larger absolute value of the two, so that half and double
    are 0.5.
    """
    range_ = width_of(control) or max(abs(answer), abs(predicted)) or 1.0
    return max(0.0, 1.0 - abs(answer - predicted) / range_)


def width_of(control: ControlTag) -> float | None:
    """Return the largest distance between two answers to this control; None if there is no bound."""
    return None if control.low is None or control.high is None else control.high - control.low
