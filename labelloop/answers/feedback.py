"""Feedback: one reviewer's answer about an output. Answer: the one that all reviewers agree on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from labelloop.answers.annotations import Annotation
from labelloop.reading.ids import AnnotationId, UserId


@dataclass(frozen=True, slots=True)
class Feedback:
    output_id: UUID
    reviewer: UserId
    """Label Studio's id of the user."""
    approval: bool | None
    """True if the model's label is correct, False if it is not; None if the reviewer did not answer."""
    correction: str | None
    comment: str | None
    label: str | None
    """The label according to the reviewer: the model's own, or the correction."""
    annotation_id: AnnotationId
    lead_time_s: float | None
    prelabel_kept: bool | None
    """Whether the preselected answer was submitted untouched; None if nothing was preselected."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer that the reviewers agree on. Without a label there is no clear answer, or no longer one."""

    label: str | None
    agreement: float | None
    """Agreement of the reviewers, 0 to 1: for one label, the share that gave it. See answers/consensus.py."""
    reviewers: int
    certainty: float | None = None
    """Probability that the best label is the correct one, 0 to 1; None by majority, see answers/consensus.py."""
    estimate: int | None = None
    """Number of the estimate of people's quality that it rests on; None by majority, and before the first estimate."""
    adjudicator: UUID | None = None
    """The adjudicator whose answer it is, a row of reviewers: nobody else is asked. None if people agreed on it."""


def one_a_reviewer(annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return the newest annotation of each reviewer with a known user. Skipped ones are not answers."""
    newest: dict[UserId, Annotation] = {}
    for annotation in sorted(annotations, key=lambda a: (a.updated_at, a.id)):
        if annotation.reviewer is not None and not annotation.was_cancelled:
            newest[annotation.reviewer] = annotation
    return list(newest.values())
