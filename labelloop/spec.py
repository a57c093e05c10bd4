"""LoopSpec: all that is particular to one loop, from its folder's loop.yaml (ours) and labels.xml (Label Studio's)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Action(_Strict):
    type: Literal["human_review"] = "human_review"
    fields: tuple[str, ...] = ("approval", "comment", "correction")


class Target(_Strict):
    metric: str
    goal: str


class Queue(_Strict):
    strategy: str = "margin"
    """Name of a query strategy."""
    window: int = Field(50, ge=1, le=10_000)
    """How many of the most useful tasks stand in Label Studio."""
    audit: float = Field(0.05, ge=0, le=1)
    """Share of the window that is drawn at random from what the trigger lets pass."""
    holdout: float = Field(0.25, ge=0, le=1)
    """Share of the window that goes to hold-out items."""


class LearnerSpec(_Strict):
    name: str = "text"
    """A learner of backend/learners."""
    field: str | None = None
    """The field of `data` that it reads; the first one that annotators see where none is named."""


class Retrain(_Strict):
    after: int = Field(50, ge=1)
    """Train when this many answers are new since the last run."""


class GateSpec(_Strict):
    min_holdout: int = Field(20, ge=1)
    """Fewer held-out answers than this: no verdict, the champion stays."""
    alpha: float = Field(0.05, gt=0, lt=1)
    """Promote when the one-sided exact McNemar test is at or below it."""


class LoopSpec(_Strict):
    """One loop. Every key but `trigger` has a default."""

    name: str
    trigger: str
    actions: tuple[Action, ...] = (Action(),)
    targets: tuple[Target, ...] = ()
    audit: float = Field(0.05, ge=0, le=1)
    """Chance of an item that the trigger lets pass to be shown to people all the same."""
    holdout: float = Field(0.2, ge=0, lt=1)
    """Share of the groups whose answers judge models and never teach one."""
    labels: tuple[str, ...] = ()
    """The labels; those of labels.xml where there is one."""
    overlap: int = Field(1, ge=1, le=10)
    """How many people answer one task."""
    queue: Queue = Queue()
    learner: LearnerSpec = LearnerSpec()
    retrain: Retrain = Retrain()
    gate: GateSpec = GateSpec()
    labels_xml: str = ""
    """The labeling config: labels.xml, or the form generated from `actions` where there is none."""
