"""Task: an output that people see in Label Studio. Which outputs become tasks, in what order they are served, and the
key and signature that travel in a task's data.

The window is the set of tasks that stand open. Its shares of lanes hold for what was pushed lately. Within the
rule lane selection says who comes in, for the sake of variety; once in, the more useful is served first.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from labelloop.answers.annotations import Annotation
from labelloop.outputs.output import OutputState
from labelloop.queue.lanes import Lane
from labelloop.queue.prelabel import Prelabelled

OUTPUT, BATCH, KEY, LABEL, SIGNATURE, WHY, BEST = (
    f"labelloop_{n}" for n in ("output", "batch", "key", "label", "sig", "why", "best")
)
"""Our fields in a task's data. Any member of the project can edit them, so the output's id is signed."""


_DRAWN = {
    Lane.CONTROL: "Drawn at random, to see whether the order of the others pays",
    Lane.AUDIT: "Drawn at random from what the model is sure of",
    Lane.HOLDOUT: "Drawn at random, to judge models",
    Lane.GOLD: "Drawn at random, to judge models",
}
"""Why what is not of the rule is asked. Gold does not give itself away."""


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """An output chosen for people, before Label Studio knows it."""

    output_id: UUID
    data: dict[str, Any]
    result: list[dict[str, Any]]
    """The prelabel as Label Studio's result."""
    priority: float
    version: str

    def to_json(self) -> dict[str, Any]:
        """As Label Studio imports it. It serves the lowest score first, hence 1 - priority."""
        prediction = {"model_version": self.version, "score": order_score(self.priority), "result": self.result}
        return {"data": self.data, "predictions": [prediction]}


@dataclass(frozen=True, slots=True)
class Task:
    """As Label Studio shows it to us."""

    id: int
    data: dict[str, Any]
    updated_at: datetime
    annotations: list[Annotation]
    """All of them, skipped ones too; empty where only the counts were asked for."""
    annotated: int
    """How many annotations it has, skipped ones too."""

    def output_id(self, signing_key: bytes) -> UUID | None:
        """The output that it carries; None unless the signature fits."""
        given = self.data.get(OUTPUT)
        if not isinstance(given, str) or not hmac.compare_digest(
            str(self.data.get(SIGNATURE)).encode(), sign(signing_key, given).encode()
        ):
            return None
        return UUID(given)

    @property
    def ours(self) -> bool:
        """Whether it claims to be one of ours."""
        return OUTPUT in self.data


@dataclass(frozen=True, slots=True)
class OpenTask(Prelabelled):
    """A row of tasks whose output is in review."""

    output_id: UUID
    label_studio_id: int
    lane: Lane
    utility: float
    priority: float
    """Place in the served order, 0 to 1, highest first."""
    shown_version: str
    """The `model_version` of the prediction that we last put on the task; "" if it has to be checked."""
    pushed_at: datetime
    overlap: int
    """How many people are to answer it: 2 once a second opinion was asked for. The loop's overlap may be more."""
    key: str
    annotated: int
    """How many annotations it has, skipped ones too."""
    fresh: bool
    """The versions in force have scored it."""
    more: int
    """How many people are asked beside, reason_for that many answers cannot be read."""


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A task that Label Studio should have."""

    output_id: UUID
    label_studio_id: int
    pushed_at: datetime
    state: OutputState
    annotated: int
    """How many annotations of it are stored."""


@dataclass(frozen=True, slots=True)
class KnownOutput:
    """An output of the loop, looked up by the id that a task carries."""

    id: UUID
    state: OutputState
    label_studio_id: int | None
    """Its task; None if no task is known."""


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A task that should be answered by another number of people than all others."""

    output_id: UUID
    label_studio_id: int
    wanted: int
    """Number of people to ask."""
    more: int
    """How many of them are asked reason_for answers cannot be read."""
    asked_more: int
    """The same number as Label Studio was last told it."""


def order_score(priority: float) -> float:
    """The score that Label Studio ranks by, in [0, 1], lowest first."""
    return 1.0 - priority


def sign(signing_key: bytes, output_id: UUID | str) -> str:
    return hmac.new(signing_key, str(output_id).encode(), "sha256").hexdigest()


def task_data(
    data: Mapping[str, Any], output_id: UUID, batch_id: UUID, key: str, label: str | None, sig: str, why: str = ""
) -> Any:
    """The output's data and ours. Label Studio refuses null in a field that the form shows, hence "" for no label."""
    ours = {OUTPUT: str(output_id), BATCH: str(batch_id), KEY: key, LABEL: label or "", SIGNATURE: sig, WHY: why}
    return {**data, **ours}


def likeliest(probabilities: Mapping[str, float], labels: Collection[str], n: int = 3) -> list[str]:
    """The `n` most probable of these labels, the most probable first, ties by name."""
    of_the_form = set(labels)
    known = [label for label in probabilities if label in of_the_form]
    return sorted(known, key=lambda label: (-probabilities[label], label))[:n]


def task_reason(lane: Lane, teaches: str | None, differs: str = "") -> str:
    """Why people are shown it, in one line: what its answer would teach, and what it has that others have not."""
    return _DRAWN.get(lane) or "; ".join(filter(None, (teaches, differs)))
