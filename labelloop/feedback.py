"""Feedback: what each reviewer says about an output; and the answer that the reviewers agree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.annotations import Annotation


@dataclass(frozen=True, slots=True)
class Feedback:
    output_id: UUID
    reviewer: int
    """Label Studio's id of the user."""
    approval: bool | None
    """True: the model's label stands. False: it does not. None: not said."""
    correction: str | None
    comment: str | None
    label: str | None
    """What the reviewer says the label is: the model's own, or the correction."""
    annotation_id: int
    lead_time_s: float | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reviewers agree on. Without a label it says that there is no clear answer, or none any more."""

    label: str | None
    agreement: float | None
    """Share of the reviewers who gave the label."""
    reviewers: int


def one_a_reviewer(annotations: Iterable[Annotation]) -> list[Annotation]:
    """The newest annotation of each person who can be named; skipped ones are no answer."""
    newest: dict[int, Annotation] = {}
    for annotation in sorted(annotations, key=lambda a: (a.updated_at, a.id)):
        if annotation.reviewer is not None and not annotation.was_cancelled:
            newest[annotation.reviewer] = annotation
    return list(newest.values())


def consensus(labels: Sequence[str | None], overlap: int) -> Answer | None:
    """What the reviewers' labels (None: no clear one) come to; None before `overlap` of them have answered.

    The label that most of them gave; a tie gives none.
    """
    if len(labels) < overlap or not labels:
        return None
    counts = Counter(label for label in labels if label is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return Answer(None, None, len(labels))
    label, count = counts[0]
    return Answer(label, count / len(labels), len(labels))
