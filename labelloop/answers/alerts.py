"""Alerts: what somebody did in Label Studio to the work of others, told from the stored versions. Pure.

Every user of Label Studio can change, delete and forge any answer. `updated_by` alone tells the truth: Label Studio
sets it to the sender of the request.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from labelloop.reading.ids import AnnotationId, TaskId, UserId

_LONGEST = 80
"""Characters of a value in the words of an alert."""


class AlertKind(StrEnum):
    EDITED = "edited by another"
    """A person changed another person's answer."""
    SPOOFED = "not by its author"
    """A person gave an answer in another person's name."""
    DELETED = "answered work deleted"
    """A person deleted another person's answer, or a task with answers."""
    FORM = "form changed"
    """The form in Label Studio is none of the loop's."""
    DATA = "data edited"
    """A task in Label Studio shows another item than its output has, or names another output."""


class AlertState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version that was just stored, with facts about the earlier versions of its annotation."""

    seq: int
    annotation_id: AnnotationId
    task_id: TaskId
    output_id: UUID
    deleted: bool
    completed_by: UserId | None
    updated_by: UserId | None
    result: list[Any]
    was_cancelled: bool
    is_first: bool
    """Whether nothing of the annotation was stored before."""
    same: bool
    """Whether it differs from the version before in nothing that a person did: Label Studio deleted a user, say."""
    author: UserId | None
    """The person for whom the annotation was made."""
    base: int | None
    """The version that counted before; None if none did."""
    base_by: UserId | None
    """The person who wrote that version."""
    base_result: list[Any] | None
    base_answers: bool
    """Whether that version is an answer, not a skip, and is trusted."""

    @property
    def may_change(self) -> set[UserId]:
        """Return the people whose own answer it is."""
        return {person for person in (self.author, self.base_by) if person is not None}


@dataclass(frozen=True, slots=True)
class Found:
    """A fact for an alert."""

    kind: AlertKind
    fact: str
    """Names the fact. It has one open alert at most."""
    instance: UUID
    output_id: UUID | None = None
    task_id: TaskId | None = None
    annotation_id: AnnotationId | None = None
    person_id: UserId | None = None
    person: str | None = None
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Alert:
    """A row of alerts, with the key of its output."""

    id: int
    loop: str
    kind: AlertKind
    fact: str
    key: str | None
    """Key of the output; None if it is about the whole project."""
    instance: UUID
    output_id: UUID | None
    task_id: TaskId | None
    annotation_id: AnnotationId | None
    person_id: UserId | None
    person: str | None
    """Address, or `user 7`; None if Label Studio does not tell who it was."""
    before: str | None
    after: str | None
    found_at: datetime
    ended_at: datetime | None
    state: AlertState
    decided_by: str | None
    decided_at: datetime | None
    why: str | None


def kind_of(version: NewVersion) -> AlertKind | None:
    """Return what was done with this version, which is no deletion; None if it is its author's own work.

    The authors are the person for whom the annotation was made and the writer of the version that counted before.
    """
    writer = version.updated_by
    if version.same or writer is None:
        return None
    if version.is_first:
        return AlertKind.SPOOFED if version.completed_by not in (None, writer) else None
    if writer in version.may_change:
        return None
    return AlertKind.EDITED if version.base is not None else AlertKind.SPOOFED


def is_deletion_of_others_work(version: NewVersion, deleted_by: UserId | None) -> bool:
    """Whether this tombstone took an answer away that is not the own one of the person who deleted it."""
    return version.base is not None and version.base_answers and deleted_by not in version.may_change


def person_words(user_id: UserId | None, emails: Mapping[UserId, str]) -> str | None:
    """Return the address of this user, or `user 7`; None if Label Studio does not tell who it was."""
    return None if user_id is None else emails.get(user_id, f"user {user_id}")


def hash_of(value: object) -> str:
    """Return the first digits of the SHA-256 of a JSON value, to name it in a fact."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def cut(value: object) -> str:
    """Return the value in few words."""
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
