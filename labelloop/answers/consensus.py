"""Consensus: the answer that several reviewers agree on, and their agreement, by the kind of answer. Pure.

one label       the label that most gave; agreement is the share of the reviewers that gave it
several labels  each label that more than half gave; agreement is the mean Jaccard index with each reviewer's labels
spans           each exact span that more than half gave; agreement is the mean F1 with each reviewer's spans, after
                Hripcsak and Rothschild 2005 (doi:10.1197/jamia.M1733), who measure it without true negatives
a number        the median (of two the lower, so that somebody gave it); agreement is the share of reviewers near it

A tie has no label. It is a tie if the top labels were given equally often, or if exactly half gave a label or span. It
is also a tie if most gave labels or spans but no two the same, or if at most half of the numbers are near the median. A
reviewer without a clear answer counts as one that agrees with nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import comb
from statistics import median_low
from typing import TypeVar

from labelloop.answers.feedback import Answer
from labelloop.answers.item_scores import f1, jaccard, width_of
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.structured import read_labels, read_number, read_spans, write_labels, write_number, write_spans

T = TypeVar("T", bound=Hashable)
NEAR = 0.05
"""Largest difference between numbers that count as the same: a share of the control's range, or of the number if there
is no range.
"""


def consensus(
    labels: Sequence[str | None], overlap: int, control: ControlTag | None = None, tolerance: float | None = None
) -> Answer | None:
    """Return the answer that the reviewers agree on; None before `overlap` of them have answered.

    Each of `labels` is a reviewer's answer, None if it is unclear. Without a `control` each is one label. `tolerance`
    is the largest difference between numbers that count as the same; None means NEAR.
    """
    if len(labels) < overlap or not labels:
        return None
    clear = [label for label in labels if label is not None]
    label, agreement = _agreed(clear, control, tolerance) if clear else (None, 0.0)
    return Answer(label, None if label is None else min(1.0, agreement / len(labels)), len(labels))


def certainty(agreement: float, reviewers: int) -> float:
    """Return the probability that most people would give this answer, above 0 and below 1. It weights the answer in
    training.

    More than half of all people would give it with this probability, given only that `agreement` of the `reviewers` did
    (Sheng, Provost and Ipeirotis 2008, doi:10.1145/1401890.1401965, label uncertainty). One of one gives 0.75, three of
    three 0.94, two of three 0.69. With the share alone, a single answer would count as much as three that agree.
    """
    agree = round(agreement * reviewers)
    return sum(comb(reviewers + 1, i) for i in range(agree + 1)) / float(2 ** (reviewers + 1))


def _agreed(answers: Sequence[str], control: ControlTag | None, tolerance: float | None) -> tuple[str | None, float]:
    """Return the answer, and the sum of the agreements of the reviewers with a clear answer."""
    kind = Kind.LABEL if control is None else control.kind
    if kind is Kind.LABELS:
        sets = [read_labels(answer) for answer in answers]
        labels = _given_by_most(sets)
        return (None, 0.0) if labels is None else (write_labels(labels), sum(jaccard(labels, one) for one in sets))
    if kind is Kind.SPANS:
        marked = [read_spans(answer) for answer in answers]
        spans = _given_by_most(marked)
        return (None, 0.0) if spans is None else (write_spans(spans), sum(f1(spans, one) for one in marked))
    if kind is Kind.NUMBER and control is not None:
        numbers = [read_number(answer) for answer in answers]
        middle = median_low(numbers)
        near = NEAR * (width_of(control) or abs(middle)) if tolerance is None else tolerance
        count = sum(abs(number - middle) <= near for number in numbers)
        return (None, 0.0) if 2 * count <= len(numbers) else (write_number(middle), count)
    counts = Counter(answers).most_common(2)
    tie = len(counts) == 2 and counts[0][1] == counts[1][1]
    return (None, 0.0) if tie else counts[0]


def _given_by_most(answers: Sequence[Sequence[T]]) -> list[T] | None:
    """Return the parts that more than half gave; None for a tie.

    It is a tie if exactly half gave a part, or if most gave some part but no part is common to most.
    """
    half = len(answers) / 2
    counts = Counter(part for answer in answers for part in set(answer))
    found = [part for part, count in counts.items() if count > half]
    if half in counts.values() or (not found and sum(not answer for answer in answers) <= half):
        return None
    return found
