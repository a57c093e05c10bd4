"""Tasks: outputs that people see in Label Studio, with the key and the signature that travel in a task's data.

The window is the set of open tasks. Its shares of lanes hold for the tasks pushed lately. Within the rule lane,
selection picks a varied set of new tasks, and open tasks are served by utility.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from labelloop.answers.annotations import Annotation
from labelloop.outputs.output import OutputState
from labelloop.queue.lanes import Lane
from labelloop.queue.prelabel import Prelabelled
from labelloop.queue.why import UNSURE, split
from labelloop.reading.ids import TaskId, UserId

OUTPUT, BATCH, KEY, LABEL, SIGNATURE, WHY, STATISTIC, BEST, STEPS = (
    f"labelloop_{n}" for n in ("output", "batch", "key", "label", "sig", "why", "statistic", "best", "steps")
)
"""Our fields in a task's data. Any member of the project can edit them, so the output's id is signed."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""The last change of a task of which it is not known."""

_DRAWN = {
    Lane.CONTROL: "Chosen at random, to see whether the order of the other tasks pays",
    Lane.AUDIT: "Chosen at random, to check answers that the model is sure of",
    Lane.HOLDOUT: "Chosen at random, to measure quality",
    Lane.GOLD: "Chosen at random, to measure quality",
}
"""Reason for tasks outside of the rule lane.

Gold must not be recognizable. Push passes the lane that `announced_lane` gives, which is never gold; if gold is passed
all the same, it has the reason of the hold-out lane.
"""


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """An output selected for people, before it has an id in Label Studio."""

    output_id: UUID
    data: dict[str, Any]
    result: list[dict[str, Any]]
    """The prelabel, as Label Studio's result."""
    priority: float
    version: str

    def to_json(self) -> dict[str, Any]:
        """Return the task for Label Studio's import, with its order score."""
        prediction = {"model_version": self.version, "score": order_score(self.priority), "result": self.result}
        return {"data": self.data, "predictions": [prediction]}


@dataclass(frozen=True, slots=True)
class Task:
    """A task as Label Studio returns it."""

    id: TaskId
    data: dict[str, Any]
    updated_at: datetime
    annotations: list[Annotation]
    """All annotations, including skipped ones; empty if only the counts were requested."""
    annotated: int
    """Number of annotations, including skipped ones."""
    updated_by: UserId | None = None
    """The user who last annotated it, deleted an annotation or changed a prediction; None if it is not known."""
    fault: str = ""
    """Reason why its annotations could not be read, although those of other tasks can; "" if they were. If nothing but
    its id could be read, `updated_at` is NEVER.
    """

    def output_id(self, signing_key: bytes) -> UUID | None:
        """Return the id of the task's output; None if the signature is missing or wrong."""
        given = self.data.get(OUTPUT)
        if not isinstance(given, str) or not hmac.compare_digest(
            str(self.data.get(SIGNATURE)).encode(), sign(signing_key, given).encode()
        ):
            return None
        return UUID(given)

    @property
    def ours(self) -> bool:
        """Whether its data claims that labelloop created it."""
        return OUTPUT in self.data


@dataclass(frozen=True, slots=True)
class OpenTask(Prelabelled):
    """A row of tasks whose output is in review."""

    output_id: UUID
    label_studio_id: TaskId
    lane: Lane
    utility: float
    priority: float
    """Place in the served order, 0 to 1, highest first."""
    shown_version: str
    """The `model_version` of the prediction that we last put on the task; "" if it has to be checked."""
    pushed_at: datetime
    overlap: int
    """How many people are to answer it: more than 1 once more were asked. The loop's overlap may be higher."""
    key: str
    annotated: int
    """How many annotations it has, skipped ones too."""
    fresh: bool
    """The versions in force have scored it."""
    more: int
    """Number of extra people that are asked because answers cannot be read."""


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task that Label Studio should have."""

    output_id: UUID
    label_studio_id: TaskId
    pushed_at: datetime
    state: OutputState
    annotated: int
    """How many annotations of it are stored."""
    adopted: bool = False
    """Whether it was in the project before the loop: its data has no signature."""


@dataclass(frozen=True, slots=True)
class KnownOutput:
    """An output of the loop, looked up by the id that a task carries."""

    id: UUID
    state: OutputState
    label_studio_id: TaskId | None
    """Its task; None if no task is known."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A task in Label Studio, and how many people it should ask."""

    label_studio_id: TaskId
    answered: bool
    """Whether nobody is to be asked."""
    wanted: int
    """Number of people to ask, those who answered included."""


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A task that should be answered by another number of people than all others."""

    output_id: UUID
    label_studio_id: TaskId
    wanted: int
    """Number of people to ask."""
    more: int
    """Number of those that are asked because answers cannot be read."""
    asked_more: int
    """Value of `more` that was last sent to Label Studio."""
    overlap: int
    """As in OpenTask."""
    told_overlap: int
    """Value of `overlap` that was last sent to Label Studio."""


def order_score(priority: float) -> float:
    """Return the order score by which Label Studio serves open tasks, in [0, 1], lowest first."""
    return 1.0 - priority


def sign(signing_key: bytes, output_id: UUID | str) -> str:
    return hmac.new(signing_key, str(output_id).encode(), "sha256").hexdigest()


def task_data(
    data: Mapping[str, Any],
    output_id: UUID,
    batch_id: UUID,
    key: str,
    label: str | None,
    sig: str,
    why: str = "",
    statistic: str = "",
) -> Any:
    """Return the output's data with our fields. A missing label is "", because Label Studio refuses null in a shown
    field.
    """
    ours = {OUTPUT: str(output_id), BATCH: str(batch_id), KEY: key, LABEL: label or "", SIGNATURE: sig}
    return {**data, **ours, WHY: why, STATISTIC: statistic}


def likeliest(probabilities: Mapping[str, float], labels: Collection[str], n: int = 3) -> list[str]:
    """Return the `n` most probable of these labels, the most probable first. Ties are broken by name."""
    of_the_form = set(labels)
    known = [label for label in probabilities if label in of_the_form]
    return sorted(known, key=lambda label: (-probabilities[label], label))[:n]


def task_reason(lane: Lane, reason: str | None, variety: str = "", *, guesses: bool = True) -> tuple[str, str]:
    """Return why people see the item: a sentence for them, and the statistic for the Data Manager's column.

    `reason` is from the query strategy (queue/why.py), `variety` from selection. Without `guesses` no sentence names a
    model's answer: the loop wants people to begin without one.
    """
    if lane in _DRAWN:
        return _DRAWN[lane], ""
    sentence, statistic = split(reason)
    if not guesses and statistic:
        sentence = UNSURE
    return sentence, "; ".join(filter(None, (statistic, variety)))
