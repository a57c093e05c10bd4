"""Output: a prediction of a pipeline's model about one item, identified by its key and the hash of its body."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from labelloop.reading import fields, strict_json

MLFLOW_TRACE_ID = "mlflow_trace_id"
"""Field of `meta` with the id of the MLflow trace to which people's answers go back."""


class OutputState(StrEnum):
    """State of an output. The database refuses every change that is no edge between two states."""

    PASSED = "passed"
    """It is not shown to people."""
    ACCEPTED = "accepted"
    """A certificate let it pass unseen: at most a promised share of such outputs is incorrect."""
    WAITING = "waiting"
    PUSHING = "pushing"
    """A batch carries it to Label Studio."""
    IN_REVIEW = "in_review"
    ANSWERED = "answered"
    QUARANTINED = "quarantined"
    """Label Studio refused it."""
    WITHDRAWN = "withdrawn"
    """Its task was deleted in Label Studio."""


SETTLED = frozenset(
    {
        OutputState.PASSED,
        OutputState.ACCEPTED,
        OutputState.ANSWERED,
        OutputState.QUARANTINED,
        OutputState.WITHDRAWN,
    }
)
"""States in which nobody is expected to answer."""
IDLE = frozenset({OutputState.WAITING, OutputState.PASSED, OutputState.ACCEPTED, OutputState.WITHDRAWN})
"""States of an output of which Label Studio may yet turn out to have a task: its import was given up, say."""
ASKED = frozenset({OutputState.WAITING, OutputState.PUSHING, OutputState.IN_REVIEW, OutputState.ANSWERED})
"""States of an output about which a person was, is or will be asked, in whichever lane it is."""


@dataclass(frozen=True, slots=True)
class Output:
    """A prediction about one item: exactly one of `probabilities`, `label` and `result`.

    For several labels at once, `evidence` with the probability of each may stand alone.
    """

    key: str
    """The pipeline's own name for the item; submitting it twice counts once.

    It has 1 to MAX_KEY bytes in any language, without control characters and without blanks around it. It is stored in
    Unicode's form NFC.
    """
    data: Mapping[str, Any]
    """Data that annotators see: the fields that the labeling config shows, and any others."""
    probabilities: Mapping[str, float] | None = None
    """Probability of each label, for answers of one label; they sum to 1."""
    model_version: str | None = ""
    produced_at: datetime | str | None = None
    """Time of the prediction, with an offset; in ISO 8601 if it is a text."""
    label: str | float | Sequence[Any] | Mapping[str, Any] | None = None
    """The predicted label, as a text, an integer or a boolean.

    A structured answer is a list of labels, a list of spans [start, end, label], a list of regions, or a number. The
    answer to several controls is an object by control name. labelloop/labeling/kinds has the forms of all kinds.
    """
    confidence: float | None = None
    """Confidence of `label`, 0 to 1. Without it the item goes to people."""
    result: Sequence[Mapping[str, Any]] | None = None
    """Prediction in Label Studio's format, including relations between its regions."""
    score: float | None = None
    """Confidence of `result`, 0 to 1."""
    group: str | None = None
    """Group of items that must stay together in training or in the hold-out set; None means the key."""
    evidence: Mapping[str, Any] | None = None
    """Input of the query strategies that read more than one row of probabilities: see labelloop/reading/evidence.py."""
    embedding: Sequence[float] | None = None
    """The item as a vector of the loop's embedding length; near vectors mean similar items."""
    gold: str | float | Sequence[Any] | Mapping[str, Any] | None = None
    """The known correct label, in the form of `label`. Such an item checks people."""
    source: str | None = None
    """Name of the pipeline, service or team that sent it, 1 to 200 characters."""
    trace: str | None = None
    """Any text that the outputs of one run of the pipeline share, 1 to 500 bytes."""
    step: str | None = None
    """Name of the pipeline's step that made it, 1 to 200 characters."""
    meta: Mapping[str, Any] | None = None
    """Anything about the item for the trigger and for reports; people never see it."""

    @property
    def group_key(self) -> str:
        return self.group or self.key

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that is sent: the fields that are not None."""
        sent = {name: value for name in FIELDS if (value := getattr(self, name)) is not None}
        if not self.model_version:
            sent.pop("model_version", None)
        if isinstance(self.produced_at, datetime):
            sent["produced_at"] = self.produced_at.isoformat()
        return sent


FIELDS = tuple(field.name for field in fields_of(Output))


_SORTED = tuple(sorted(FIELDS))


def canonical(output: Output, dumps: Callable[[Any], str] = strict_json.dumps) -> dict[str, str]:
    """Return each field that is given in its canonical JSON, in the order of the names. `dumps` writes that form."""
    body = output.to_json()
    at = fields.time("produced_at", output.produced_at)
    if at is not None:
        body["produced_at"] = at.astimezone(UTC).isoformat()
    return {name: dumps(body[name]) for name in _SORTED if name in body}


def sha256_of(canonical: Mapping[str, str]) -> bytes:
    """Return the hash of an output's body, by its canonical fields."""
    whole = ",".join([f'"{name}":{text}' for name, text in canonical.items()])
    return hashlib.sha256(f"{{{whole}}}".encode()).digest()


def body_sha256(output: Output) -> bytes:
    """Return the hash of the canonical form: the order of fields, blanks, and 1 or 1.0 as a probability make no
    difference.
    """
    return sha256_of(canonical(output))


def unit_hash(*parts: str) -> float:
    """Return a number in [0, 1) that depends on the parts only and is as good as random. Lanes and hold-out use this
    hash.
    """
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53  # 53 bits: a float holds them without rounding up to 1
