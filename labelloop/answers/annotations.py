"""Annotation: one version of one person's answer on a task, as Label Studio stores it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.reading.ids import AnnotationId, TaskId, UserId


@dataclass(frozen=True, slots=True)
class Annotation:
    id: AnnotationId
    task_id: TaskId
    result: list[Any]
    completed_by: UserId | None
    """The user named in the request that created it: any member can put another user's id here."""
    updated_by: UserId | None
    """The user that wrote this version, according to Label Studio."""
    was_cancelled: bool
    """Skipped; the result may still hold the prelabel."""
    ground_truth: bool
    lead_time_s: float | None
    parent_prediction: int | None
    created_at: datetime
    updated_at: datetime

    @property
    def reviewer(self) -> UserId | None:
        """Label Studio's id of the person that answered; None if that user was deleted."""
        return self.updated_by if self.updated_by is not None else self.completed_by


@dataclass(frozen=True, slots=True)
class StoredAnnotation(Annotation):
    """The version of an annotation that counts, or the newest one of an annotation of which none does."""

    seq: int
    """Number of the version, in the order in which we saw them."""
    output_id: UUID
    distrusted: str | None
    """Why it does not count; None for one that counts."""
    ask: bool
    """Whether somebody else is asked, because it does not count."""


def digest(annotation: Annotation, output_id: object, distrusted: str | None) -> bytes:
    """Return the SHA-256 of everything in an annotation that can change without a new `updated_at`, and of our reading
    of it.
    """
    facts = [
        annotation.result,
        annotation.completed_by,
        annotation.updated_by,
        annotation.was_cancelled,
        annotation.ground_truth,
        annotation.lead_time_s,
        None if output_id is None else str(output_id),
        distrusted,
    ]
    # Keys are sorted: on Postgres, Label Studio does not keep their order.
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).digest()


def clean(value: Any) -> Any:
    """Return JSON that Postgres accepts: without NUL, lone surrogates, NaN and infinities, which Label Studio can
    store.
    """
    match value:
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
        case list():
            return [clean(item) for item in value]
        case dict():
            return {clean(key): clean(item) for key, item in value.items()}
    return value
