"""Output: what a pipeline's model said about one item; strictly read, and known by its key and the hash of its body."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from labelloop.reading import fields, strict_json


class OutputState(StrEnum):
    """Where an output is. The database refuses every change that is no edge between two states."""

    PASSED = "passed"
    """It is not shown to people."""
    WAITING = "waiting"
    PUSHING = "pushing"
    """A batch carries it to Label Studio."""
    IN_REVIEW = "in_review"
    ANSWERED = "answered"
    QUARANTINED = "quarantined"
    """Label Studio refused it."""
    WITHDRAWN = "withdrawn"
    """Its task was deleted in Label Studio."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a pipeline's model said about one item: exactly one of `probabilities`, `label` and `result`.

    Of several labels at once `evidence` may say it alone, by the probability of each.
    """

    key: str
    """The pipeline's own name for the item: submitting it twice is submitting it once. 1 to MAX_KEY bytes of any
    language, without control characters and without blanks around; kept in Unicode's form NFC.
    """
    data: Mapping[str, Any]
    """What annotators see of the item: the fields that the labeling config shows, and any others."""
    probabilities: Mapping[str, float] | None = None
    """Of one label; they sum to 1."""
    model_version: str | None = ""
    produced_at: datetime | str | None = None
    """With an offset; ISO 8601 where it is a text."""
    label: str | float | Sequence[Any] | None = None
    """A label, as a text, an integer or a boolean; or a list of labels, a list of spans [start, end, label], a number:
    as labelloop/labeling/structured.py says.
    """
    confidence: float | None = None
    """Of `label`, 0 to 1. Without it the item goes to people."""
    result: Sequence[Mapping[str, Any]] | None = None
    """As Label Studio has it, for a model that speaks its format; relations between its regions too."""
    score: float | None = None
    """Confidence of `result`."""
    group: str | None = None
    """Items that must not be parted between training and hold-out share it; the key where there is none."""
    evidence: Mapping[str, Any] | None = None
    """For the query strategies that read more than one row of probabilities: see labelloop/reading/evidence.py."""
    embedding: Sequence[float] | None = None
    """The item as numbers, of the width that the loop says: near ones are alike."""
    gold: str | float | Sequence[Any] | None = None
    """The right label, as `label` says it, where it is known: the item checks people."""

    @property
    def group_key(self) -> str:
        return self.group or self.key

    def to_json(self) -> dict[str, Any]:
        """What travels: the fields that were said."""
        said = {name: value for name in FIELDS if (value := getattr(self, name)) is not None}
        if not self.model_version:
            said.pop("model_version", None)
        if isinstance(self.produced_at, datetime):
            said["produced_at"] = self.produced_at.isoformat()
        return said


FIELDS = tuple(field.name for field in fields_of(Output))


def body_sha256(output: Output) -> bytes:
    """Of the canonical form: the order of fields, blanks and 1 for 1.0 as a probability make no difference."""
    body = output.to_json()
    at = fields.time("produced_at", output.produced_at)
    if at is not None:
        body["produced_at"] = at.astimezone(UTC).isoformat()
    return hashlib.sha256(strict_json.dumps(body).encode()).digest()


def unit_hash(*parts: str) -> float:
    """A number in [0, 1) that only the parts decide, as good as random: the one hash for lanes and hold-out."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # 53 bits: a float holds them without rounding up to 1
