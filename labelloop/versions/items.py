"""Items of a run: the answers that it trains on, and the held-out ones that judge it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class TrainingItem:
    """An answer with its item, as a learner is trained on it."""

    key: str
    """The output's key."""
    group_key: str
    """Items that must not be parted between training and hold-out share it."""
    data: Mapping[str, Any]
    answer_seq: int | None
    """None for an accepted output, which nobody answered."""
    label: str
    weight: float
    """How much the answer counts; 1 is most."""


@dataclass(frozen=True, slots=True)
class AnsweredItem(TrainingItem):
    """The newest clear answer of an output, up to a run's cut. Its weight is 1 until the run sets it."""

    output_id: UUID
    lane: str
    holdout: bool
    """True: the answer evaluates models, and no model is trained on it."""
    agreement: float | None
    reviewers: int
    pipeline_label: str | None
    pipeline_confidence: float | None
    certainty: float | None = None
    """Probability that the answer is correct, by the quality of the people; None by majority."""


@dataclass(frozen=True, slots=True)
class AcceptedItem(TrainingItem):
    """An output that passed unseen by a certificate, with the label that was accepted."""

    output_id: UUID
    error: float
    """The promise: at most this share of such labels is incorrect."""


@dataclass(frozen=True, slots=True)
class ItemToLabel:
    """An item that two models label, and the label of the pipeline."""

    output_id: UUID
    key: str
    data: Mapping[str, Any]
    pipeline_label: str | None
    pipeline_confidence: float | None


@dataclass(frozen=True, slots=True)
class JudgedItem:
    """An answered item with both models' labels, and the facts that slices are cut by."""

    output_id: UUID
    source: str
    """The version of the pipeline's model."""
    label: str
    """The answer."""
    resolved_at: datetime
    agreement: float | None
    reviewers: int
    people: Sequence[str]
    """The reviewers by Label Studio's id (`user 7`), since verdicts are kept and cards are passed on."""
    length: int | None
    """Characters of the text; None if the field holds no text."""
    fields: Mapping[str, Any]
    """The short values of the item's data."""
    champion_label: str | None
    champion_confidence: float | None
    challenger_label: str | None
    challenger_confidence: float | None


class EarlierItem(NamedTuple):
    """A held-out item of an earlier verdict, with both models' labels at that time."""

    run_id: UUID
    output_id: UUID
    label: str
    """The answer at that time."""
    champion_label: str | None
    challenger_label: str | None
