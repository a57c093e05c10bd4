"""The sections of loop.yaml: what happens with what is sent, the queue, the learner, the runs and the gate."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from labelloop import strategies
from labelloop.selection.select import DIVERSITY
from labelloop.spec.fetching import check_beginning
from labelloop.spec.learners import NONE, LearnerFacts, facts_of

SLICES = ("label", "source", "reviewer", "length", "time")
"""What every hold-out can be cut by, beside the fields of the outputs' data."""
_DURATION = r"[1-9]\d{0,4}[mhdw]"
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Action(Strict):
    """What happens with an output that the trigger sends."""

    type: Literal["human_review"] = "human_review"
    fields: tuple[Literal["approval", "comment", "correction", "why"], ...] = ("approval", "comment", "correction")
    """What the generated form asks for, and whether it shows why the item is asked; a labels.xml says it itself."""

    @field_validator("fields")
    @classmethod
    def _can_be_answered(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        if not {"approval", "correction"} & set(fields):
            raise ValueError("without approval and correction nobody can answer; name one of them at least")
        return fields


class Target(Strict):
    """What the loop is for, in people's words: kept and shown, not computed with, so further keys are welcome."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    metric: str
    goal: str | float | None = None


class Queue(Strict):
    """Which outputs stand in Label Studio. The shares are of the window; what they leave is the rule's."""

    strategy: str = "margin"
    """Name of a query strategy."""
    window: int = Field(default=50, ge=1, le=10_000)
    """How many of the most useful tasks stand in Label Studio."""
    diversity: float = Field(default=DIVERSITY, ge=0, le=1)
    """0: the most useful, however alike. 1: as unlike each other as they can be while they are useful."""
    embedding: int = Field(default=0, ge=0, le=4096)
    """How many numbers the `embedding` of each output has; 0: outputs come without."""
    control: float = Field(default=0.0, ge=0, le=1)
    """Share that is drawn at random from what the trigger sends, to measure whether the order pays."""
    audit: float = Field(default=0.05, ge=0, le=1)
    """Share that is drawn at random from what the trigger lets pass."""
    holdout: float = Field(default=0.25, ge=0, le=1)
    """Share that goes to hold-out items."""
    gold: float = Field(default=0.05, ge=0, le=1)
    """Share that goes to outputs that came with a known answer; where none do, the others have it."""
    second: float = Field(default=0.0, ge=0, le=1)
    """Share that goes to a second opinion on the most doubtful answers."""

    @field_validator("strategy")
    @classmethod
    def _exists(cls, strategy: str) -> str:
        if strategy not in strategies.names():
            raise ValueError(f"no query strategy {strategy!r}; there are: {', '.join(strategies.names())}")
        return strategy

    @model_validator(mode="after")
    def _leaves_room(self) -> Queue:
        total = sum(self.shares.values())
        if total > 1 + 1e-9:  # 0.1 + 0.2 + 0.7 is a little more than 1
            said = ", ".join(f"{name} {share:g}" for name, share in self.shares.items() if share)
            raise ValueError(f"{said} are shares of one window: at most 1 in all; they sum to {total:g}")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Share of the window by lane, and of second opinions, as they were said: without the rule's."""
        return {name: getattr(self, name) for name in ("control", "audit", "holdout", "gold", "second")}


class PrelabelSpec(Strict):
    """What is filled in before a person answers."""

    min_margin: float = Field(default=0.1, ge=0, le=1)
    """Nothing is filled in where the two likeliest labels are closer than this: such a guess is a coin toss."""


class LearnerSpec(Strict):
    name: str = "text"
    """A learner of spec/learners.py, or the import path of a scikit-learn classifier. If loop.yaml names none: the
    default of the loop's kind of answer, and NONE if the form shows an address.
    """
    field: str | None = None
    """The field of `data` that it reads; where none is named the one that LoopSpec.field finds."""
    params: dict[str, Any] = {}
    """What else its constructor takes."""

    fetch: tuple[str, ...] = ()
    """How the addresses begin whose pictures are fetched, `https://photos.example.com/`, `s3://scans/`, `/data/`; of a
    learner that reads images. None: only `data:` URIs are read.
    """

    @field_validator("fetch")
    @classmethod
    def _are_beginnings(cls, fetch: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_beginning, fetch))

    @property
    def is_trained(self) -> bool:
        """Whether answers teach it, so that runs are started for it."""
        return self.name != NONE and not self.facts.is_frozen

    @property
    def facts(self) -> LearnerFacts:
        return facts_of(self.name)

    @property
    def reads(self) -> str:
        """What it reads of an item: text, images, tabular or vectors; "" if that is up to its model."""
        return str(self.params.get("reads", self.facts.reads))


class Retrain(Strict):
    """When a run is asked for, and what it may use."""

    after: int = Field(default=50, ge=1)
    """Train when this many answers are new since the last run."""
    every: str | None = None
    """Train when the last run began so long ago and any answer is new: `6h`; also m, d and w."""
    drift: float | Literal[False] = 0.25
    """Train when what comes in has moved this far (population stability index), or the champion is right less often
    than it was, and some answers are new; false: do not look. labelloop/versions/drift.py says how it is told."""
    on_new_label: bool = True
    """Train when there are a few answers with a label that the newest version does not know."""
    minutes: float = Field(default=10.0, gt=0, le=24 * 60)
    """A run that takes longer is ended."""
    memory_gb: float = Field(default=4.0, ge=1, le=1024)
    """Address space of the training process, in GiB."""
    threads: int = Field(default=1, ge=1, le=256)
    """Of linear algebra. With one, the same cut gives the same version on any machine that is alike."""
    search: bool = True
    """Try the learner's few parameters by cross-validation inside the training cut, where there are enough answers."""

    @field_validator("every", mode="before")
    @classmethod
    def _is_a_duration(cls, every: object) -> object:
        if every is not None and (not isinstance(every, str) or not re.fullmatch(_DURATION, every)):
            raise ValueError(f"takes a duration such as '6h', '30m', '2d' or '1w'; it is {every!r}")
        return every

    @field_validator("drift", mode="before")
    @classmethod
    def _is_a_level(cls, drift: object) -> object:
        """A whole number is a level too; bool is an int to Python."""
        if drift is False or (isinstance(drift, int | float) and drift is not True and 0 < drift <= 10):
            return drift if drift is False else float(drift)
        raise ValueError(f"takes a level above 0, such as 0.25 (10 at most), or false; it is {drift!r}")

    @property
    def every_s(self) -> float | None:
        """`every` in seconds."""
        return None if self.every is None else int(self.every[:-1]) * _SECONDS[self.every[-1]]


class Shadow(Strict):
    """How long a challenger predicts beside the champion before the gate judges it on what people answered since."""

    answers: int = Field(default=50, ge=1)
    """It is judged on so many."""
    outputs: int = Field(default=1000, ge=1, le=100_000)
    """It predicts so many at most."""
    days: float = Field(default=14, gt=0, le=365)
    """Too few answers by then: refused."""
    then: Literal["auto", "ask"] = "auto"
    """What follows where it passes."""

    @model_validator(mode="after")
    def _can_end(self) -> Shadow:
        if self.answers > self.outputs:
            raise ValueError(f"{self.answers} answers on {self.outputs} outputs cannot be: outputs is at least answers")
        return self


class GateSpec(Strict):
    """When a challenger may replace the champion, and who says so."""

    min_holdout: int = Field(default=20, ge=1)
    """Fewer held-out answers than this: no verdict, the champion stays."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """The paired one-sided test must be at or below it, divided by the verdicts so far on the same answers."""
    reuse: Literal["share", "ignore"] = "share"
    """ignore: alpha is not divided, and of many verdicts luck passes some."""
    min_gain: float = Field(default=0.0, ge=0, lt=1)
    """A gain that is smaller is not worth a change; a share of 1."""
    floor: float = Field(default=0.02, ge=0, le=1)
    """A slice that lost more than this, and not by chance, refuses; a share of 1."""
    slices: tuple[str, ...] = (*SLICES, "data")
    """What the hold-out is cut by: label, source, reviewer, length, time; data.x is a field, data all of them."""
    max_ece: float | None = Field(default=None, gt=0, le=1)
    """How far confidences may be off (expected calibration error); a share of 1."""
    max_slowdown: float | None = Field(default=None, gt=0)
    """How many times the champion's time for an item it may take."""
    max_size_mb: float | None = Field(default=None, gt=0)
    """Of its file, in millions of bytes."""
    promotion: Literal["auto", "ask", "shadow"] = "auto"
    """What follows where it passes: it serves, a person decides, or it predicts beside the champion first."""
    shadow: Shadow = Shadow()

    @field_validator("slices")
    @classmethod
    def _can_be_cut(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in SLICES and name != "data" and not re.fullmatch(r"data\..+", name):
                raise ValueError(f"no slice {name!r}; there are: {', '.join(SLICES)}, data and data.<field>")
        return names
