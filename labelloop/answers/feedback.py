"""Feedback: what each reviewer says about an output; and Answer, what they agree on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.answers.annotations import Annotation


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
    prelabel_kept: bool | None
    """Whether what was preselected was submitted untouched. None: nothing was preselected."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What the reviewers agree on. Without a label it says that there is no clear answer, or none any more."""

    label: str | None
    agreement: float | None
    """How far the reviewers agree on it, 0 to 1: the share who gave it, for one label; see answers/consensus.py."""
    reviewers: int


def one_a_reviewer(annotations: Iterable[Annotation]) -> list[Annotation]:
    """The newest annotation of each person who can be named; skipped ones are no answer."""
    newest: dict[int, Annotation] = {}
    for annotation in sorted(annotations, key=lambda a: (a.updated_at, a.id)):
        if annotation.reviewer is not None and not annotation.was_cancelled:
            newest[annotation.reviewer] = annotation
    return list(newest.values())
