"""Consensus: the answer that several reviewers' answers come to, and how far they agree on it, by its kind; pure.

one label       the one that most gave; the share of the reviewers who gave it
several labels  each label that more than half gave; the mean of Jaccard's index of each reviewer's labels and those
spans           each exact span that more than half gave; the mean of the F1 of each reviewer's spans and those, as
                Hripcsak and Rothschild 2005 (doi:10.1197/jamia.M1733) measure agreement on what may be anywhere
a number        the median, of two the lower, so that somebody has said it; the share of the reviewers near it

A tie is no answer: labels given equally often, a label or span that exactly half gave, nothing in common where most
gave something, a median that not more than half are near. Who gave no clear answer counts as a reviewer who agrees with
nobody.
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
"""Numbers that are nearer than this share of the control's range, or of the number where it has none, are the same."""


def consensus(
    labels: Sequence[str | None], overlap: int, control: ControlTag | None = None, tolerance: float | None = None
) -> Answer | None:
    """What the reviewers' answers (None: no clear one) come to; None before `overlap` of them have answered.

    Without a `control` each is one label. `tolerance`: how far from a number another is still the same; None: NEAR.
    """
    if len(labels) < overlap or not labels:
        return None
    said = [label for label in labels if label is not None]
    label, agreement = _agreed(said, control, tolerance) if said else (None, 0.0)
    return Answer(label, None if label is None else min(1.0, agreement / len(labels)), len(labels))


def certainty(agreement: float, reviewers: int) -> float:
    """How sure it is that most people would give this answer, above 0, below 1; by it the answer counts in training.

    The chance that more than half would, when nothing is known but that `agreement` of the `reviewers` did (Sheng,
    Provost and Ipeirotis 2008, doi:10.1145/1401890.1401965, label uncertainty): of one 0.75, of three out of three
    0.94, of two out of three 0.69. The share alone would have a lone answer count as much as three that agree.
    """
    agree = round(agreement * reviewers)
    return sum(comb(reviewers + 1, i) for i in range(agree + 1)) / float(2 ** (reviewers + 1))


def _agreed(said: Sequence[str], control: ControlTag | None, tolerance: float | None) -> tuple[str | None, float]:
    """The answer, and the sum over those who said something of how far they agree with it."""
    kind = Kind.LABEL if control is None else control.kind
    if kind is Kind.LABELS:
        sets = [read_labels(answer) for answer in said]
        labels = _by_most(sets)
        return (None, 0.0) if labels is None else (write_labels(labels), sum(jaccard(labels, one) for one in sets))
    if kind is Kind.SPANS:
        marked = [read_spans(answer) for answer in said]
        spans = _by_most(marked)
        return (None, 0.0) if spans is None else (write_spans(spans), sum(f1(spans, one) for one in marked))
    if kind is Kind.NUMBER and control is not None:
        numbers = [read_number(answer) for answer in said]
        middle = median_low(numbers)
        near = NEAR * (width_of(control) or abs(middle)) if tolerance is None else tolerance
        count = sum(abs(number - middle) <= near for number in numbers)
        return (None, 0.0) if 2 * count <= len(numbers) else (write_number(middle), count)
    counts = Counter(said).most_common(2)
    tie = len(counts) == 2 and counts[0][1] == counts[1][1]
    return (None, 0.0) if tie else counts[0]


def _by_most(answers: Sequence[Sequence[T]]) -> list[T] | None:
    """What more than half hold; None where exactly half hold something, or most hold something but never the same."""
    half = len(answers) / 2
    counts = Counter(part for answer in answers for part in set(answer))
    found = [part for part, count in counts.items() if count > half]
    if half in counts.values() or (not found and sum(not answer for answer in answers) <= half):
        return None
    return found
