"""Consensus: the answer that several reviewers agree on, and their agreement. Pure.

What people agree on depends on the kind of answer: the first lines of each file of labelloop/labeling/kinds say it.

A tie has no label. A reviewer without a clear answer counts as one that agrees with nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

from labelloop.answers.feedback import Answer
from labelloop.labeling import kinds
from labelloop.labeling.controls import ControlTag

_ONE_LABEL = ControlTag(tag="Choices", name="", to_name="")


def consensus(
    labels: Sequence[str | None], overlap: int, control: ControlTag | None = None, tolerance: float | None = None
) -> Answer | None:
    """Return the answer that the reviewers agree on; None before `overlap` of them have answered.

    Each of `labels` is a reviewer's answer, None if it is unclear. Without a `control` each is one label. `tolerance`
    is the largest difference between numbers that count as the same; None means that of kinds/number.py.
    """
    if len(labels) < overlap or not labels:
        return None
    clear = [label for label in labels if label is not None]
    control = control or _ONE_LABEL
    label, agreement = kinds.of(control).agreed(control, clear, tolerance) if clear else (None, 0.0)
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
