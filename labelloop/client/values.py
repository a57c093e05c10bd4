"""Values that a client returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from labelloop.outputs.output import ASKED
from labelloop.outputs.output import SETTLED as _SETTLED_STATES

UNKNOWN = "unknown"
"""State of a key that nobody has submitted."""
SETTLED = frozenset({*map(str, _SETTLED_STATES), UNKNOWN})
"""States in which no answer is expected."""


@dataclass(slots=True)
class Receipt:
    """Result of a submit."""

    new: int = 0
    known: int = 0
    """Number of outputs submitted before, with the same body."""
    states: dict[str, int] = field(default_factory=dict)
    """Number of outputs by their current state: passed, accepted, waiting, in_review, answered, ..."""

    @property
    def will_be_asked(self) -> int:
        """Return the number of these outputs about which a person was, is or will be asked.

        The hold-out set and the audit are among them, although the model may be confident.
        """
        return sum(n for state, n in self.states.items() if state in ASKED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a pipeline's hold on an output. It never changes, even if people edit their answer."""

    kind: str
    """answer (people agreed on a label), passed (no person is asked), accepted (no person is asked, by a certificate),
    fallback, or undecided (none was declared).
    """
    value: Any
    """The value to continue with: the label as text, or the fallback. None if undecided."""
    decided_at: str
    deadline_at: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """State of an output, and people's answers."""

    key: str
    id: str
    loop: str
    state: str
    """One of passed (nobody reviews it), accepted (nobody reviews it, by a certificate), waiting, pushing, in_review,
    answered, quarantined, withdrawn, or unknown (a key that nobody submitted, in what `wait` returns).
    """
    lane: str
    model_label: str | None = None
    model_confidence: float | None = None
    model_version: str = ""
    source: str | None = None
    """As submitted, like `trace` and `step`; None if the output did not say."""
    trace: str | None = None
    step: str | None = None
    rests_on: tuple[dict[str, str | None], ...] = ()
    """The corrected earlier steps of its trace: {"loop", "key", "step", "label", "correction"}. `correction` is None if
    people only rejected the label.
    """
    repeats: dict[str, Any] | None = None
    """The earlier output with the same content, whose answer it has: {"key", "id", "answered_by"}. None if it is asked
    for itself.
    """
    accepted: dict[str, Any] | None = None
    """By which promise it passed unseen: {"label", "confidence", "by", "version", "certificate", "error", "at",
    "revoked_at"}. None if it never did. It is no answer of a person.
    """
    spec_version: int | None = None
    """Number of the version of the loop's spec that decided whether people see it."""
    label: str | None = None
    """The final label; None if there is none yet, or if people do not agree."""
    approval: bool | None = None
    """Whether the model's label is correct."""
    correction: str | None = None
    """The final label, if it differs from the model's."""
    comments: tuple[str, ...] = ()
    agreement: float | None = None
    """Share of the reviewers that gave the label, 0 to 1."""
    reviewers: int = 0
    unreadable: tuple[str, ...] = ()
    """Reasons why answers cannot be read and do not count, one for each such answer."""
    received_at: str = ""
    answered_at: str | None = None
    will_be_asked: bool = False
    """Whether a person was, is or will be asked, also because of the hold-out set or the audit."""
    outcome: Outcome | None = None
    """The end of a hold on it; None if no pipeline has held it, or if it still holds it."""
    reason: str | None = None
    """Why it is quarantined or withdrawn; None in any other state."""

    @property
    def is_settled(self) -> bool:
        return self.state in SETTLED

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Status:
        """Return the status in the service's JSON. Fields that this version does not know are left out."""
        values = {name: said[name] for name in _STATUS_FIELDS if name in said}
        for several in ("comments", "unreadable", "rests_on"):
            values[several] = tuple(values.get(several, ()))
        outcome = values.get("outcome")
        if outcome is not None:
            values["outcome"] = Outcome(**{name: outcome.get(name) for name in _OUTCOME_FIELDS})
        return cls(**values)

    @classmethod
    def unknown(cls, key: str, loop: str) -> Status:
        """Return the status of a key that nobody has submitted."""
        return cls(key, id="", loop=loop, state=UNKNOWN, lane="")


@dataclass(frozen=True, slots=True)
class Batch:
    """Statuses of a batch of outputs, when enough of them were settled or the time was over."""

    statuses: Mapping[Any, Status]
    """By key, in the order in which the keys were given."""
    is_complete: bool
    """Whether the wanted share was settled."""

    @property
    def settled(self) -> float:
        """Return the share of the keys that are settled, 0 to 1; 1 for an empty batch."""
        done = sum(status.is_settled for status in self.statuses.values())
        return done / len(self.statuses) if self.statuses else 1.0


_STATUS_FIELDS = tuple(f.name for f in fields(Status))
_OUTCOME_FIELDS = tuple(f.name for f in fields(Outcome))
