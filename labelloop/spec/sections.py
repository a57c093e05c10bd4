"""The sections of loop.yaml but for the gate: actions, queue, prelabels, learner and runs."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from labelloop import strategies
from labelloop.reading.nearest import did_you_mean
from labelloop.selection.select import DIVERSITY
from labelloop.spec.faults import Contradiction, Fault
from labelloop.spec.fetching import check_beginning
from labelloop.spec.learners import AUTO, IMAGES, NONE, LearnerFacts, facts_of

NAME = r"^[a-z][a-z0-9_-]{0,40}$"
"""The name of a loop, which is that of its folder."""
_DURATION = r"[1-9]\d{0,4}[mhdw]"
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


Addresses = tuple[Annotated[str, Field(min_length=3, max_length=320, pattern="@")], ...]
"""Addresses of people, as Label Studio has them, in any case."""
YOUNGER_KEYS = frozenset(
    {"reuse_answers", "examples", "answer", "media", "definitions", "accept", "judge", "consensus", "opinions"}
    | {"reviewers_may_edit", "adjudicators", "people", "former_labels"}
)
"""Keys that came after versions of specs were stored. A new key of LoopSpec belongs here, or each loop gets a needless
version of its spec at the next `labelloop migrate`.
"""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def check_duration(value: object) -> str:
    """Return a duration such as `6h`; raises ValueError for anything else."""
    if not isinstance(value, str) or not re.fullmatch(_DURATION, value):
        raise ValueError(f"takes a duration such as '6h', '30m', '2d' or '1w'; it is {value!r}")
    return value


def seconds(duration: str) -> int:
    """Return the seconds of a duration that `check_duration` takes."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


class Action(Strict):
    """Action taken on an output that the trigger sends."""

    type: Literal["human_review"] = "human_review"
    fields: tuple[Literal["approval", "comment", "correction", "why"], ...] = ("approval", "comment", "correction")
    """Controls of the generated form, and whether it shows why the item is asked. A labels.xml replaces them."""

    @field_validator("fields")
    @classmethod
    def _can_be_answered(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        if not {"approval", "correction"} & set(fields):
            raise ValueError("annotators need approval or correction to answer; name at least one of them")
        return fields


class Media(Strict):
    """Rules for the pictures, sounds and files that the form shows by their addresses."""

    check: bool = True
    """Whether the worker looks at the addresses of the next outputs, and holds those back that no browser can read."""


class Target(Strict):
    """A goal of the loop, in people's words.

    It is stored and shown but not computed with, so further keys are allowed.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    metric: str
    goal: str | float | None = None


class Queue(Strict):
    """Rules for the open tasks in Label Studio. Shares are of the window; the rest belongs to the rule lane."""

    strategy: str = "margin"
    """Name of a query strategy."""
    window: int = Field(default=50, ge=1, le=10_000)
    """Number of open tasks in Label Studio, the most useful ones."""
    diversity: float = Field(default=DIVERSITY, ge=0, le=1)
    """Variety of the selected tasks, 0 to 1. At 0 the most useful are taken, however alike; at 1 they differ as much as
    they can while being useful.
    """
    embedding: int = Field(default=0, ge=0, le=4096)
    """Length of each output's `embedding`; 0 means that outputs have none."""
    control: float = Field(default=0.0, ge=0, le=1)
    """Share drawn at random from the outputs that the trigger sends, to measure whether ranking them pays."""
    audit: float = Field(default=0.05, ge=0, le=1)
    """Share drawn at random from the outputs that the trigger does not send."""
    holdout: float = Field(default=0.25, ge=0, le=1)
    """Share of hold-out items."""
    gold: float = Field(default=0.05, ge=0, le=1)
    """Share of outputs that came with a known answer. If there are none, the other lanes share these slots."""
    second: float = Field(default=0.0, ge=0, le=1)
    """Share of second opinions on the most doubtful answers."""
    control_weight: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(default={}, max_length=200)
    """Weight of each control's doubt in the utility, by its name, for an answer in several controls; 1 if not named.
    Without any weights, the most doubtful control decides.
    """
    blind: float | None = Field(default=None, ge=0, le=1)
    """Share of the outputs that go to people without any prelabel, drawn by a hash of the key. It is no share of the
    window. None means 0; in a loop with `judge`, every output that chance chose and none of the rule lane.
    """

    @field_validator("strategy")
    @classmethod
    def _exists(cls, strategy: str) -> str:
        if strategy not in strategies.names():
            known = strategies.names()
            raise ValueError(
                f"no query strategy {strategy!r}{did_you_mean(strategy, known)}; there are: {', '.join(known)}"
            )
        return strategy

    @model_validator(mode="after")
    def _leaves_room(self) -> Queue:
        total = sum(self.shares.values())
        if total > 1 + 1e-9:  # 0.1 + 0.2 + 0.7 is a little more than 1
            named = ", ".join(f"{name} {share:g}" for name, share in self.shares.items() if share)
            raise ValueError(f"{named} are shares of one window, at most 1 in all; they sum to {total:g}")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Share of the window by lane, and of second opinions, as configured; the rule lane is not among them."""
        return {name: getattr(self, name) for name in ("control", "audit", "holdout", "gold", "second")}


class Steps(Strict):
    """Rules for the steps before an item: the earlier outputs of its trace."""

    show: bool = False
    """Whether the generated form shows them above the item. A labels.xml shows them by `$labelloop_steps`."""
    loops: tuple[Annotated[str, Field(pattern=NAME)], ...] = Field(default=(), max_length=20)
    """Other loops whose outputs are steps of the same trace. This loop's annotators, and the tokens that read its
    outputs, see what people see of those steps.
    """

    @field_validator("loops")
    @classmethod
    def _are_distinct(cls, loops: tuple[str, ...]) -> tuple[str, ...]:
        for place, name in enumerate(loops):
            if name in loops[:place]:
                raise Contradiction(Fault((place,), f"{name!r} is named twice"))
        return loops


class PrelabelSpec(Strict):
    """Rules for the prelabel that a task shows before a person answers."""

    min_margin: float = Field(default=0.1, ge=0, le=1)
    """Smallest margin between the two most probable labels at which a label is preselected. Below it the guess is a
    coin toss. At 1 no label is ever preselected.
    """


class LearnerSpec(Strict):
    name: str = AUTO
    """A learner of spec/learners.py, or the import path of a scikit-learn classifier.

    If loop.yaml names none, it is the default of the loop's kind of answer, and NONE if the form shows an address.
    """
    field: str | None = None
    """The field of `data` that it reads; None means the field that LoopSpec.field finds."""
    params: dict[str, Any] = {}
    """The other arguments of its constructor."""

    fetch: tuple[str, ...] = ()
    """Beginnings of the addresses from which pictures are fetched: `https://photos.example.com/`, `s3://scans/`,
    `/data/`.

    Only for a learner that reads images. If empty, only `data:` URIs are read.
    """

    @field_validator("fetch")
    @classmethod
    def _are_beginnings(cls, fetch: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(check_beginning, fetch))

    @property
    def is_trained(self) -> bool:
        """Whether it trains on answers, so that runs are started for it."""
        return self.name != NONE and not self.facts.is_frozen

    @property
    def facts(self) -> LearnerFacts:
        return facts_of(self.name)

    @property
    def reads(self) -> str:
        """Part of an item that it reads: text, images, tabular or vectors; "" if its model decides."""
        return str(self.params.get("reads", self.facts.reads))

    @property
    def is_network(self) -> bool:
        """Whether it reads pictures by a pretrained network."""
        return self.reads == IMAGES and self.params.get("features") == "pretrained"

    @property
    def reads_colour(self) -> bool:
        """Whether it reads the colours of fetched pictures, and not their grey alone."""
        return self.is_network and self.params.get("colour", True) is True

    @property
    def encoder(self) -> str | None:
        """Name or path of the encoder whose sentence vectors it reads, "" for the default; None if it reads none."""
        return str(self.params.get("encoder", "")) if self.facts.reads_vectors else None


class Retrain(Strict):
    """Rules for requesting a run, and the resources that it may use."""

    after: int = Field(default=50, ge=1)
    """Train after this many new answers since the last run."""
    every: str | None = None
    """Train if the last run began at least this long ago and there is any new answer: `6h`; also m, d and w."""
    drift: float | Literal[False] = 0.25
    """Train if incoming outputs have shifted by this much (population stability index) and some answers are new.

    A fall of the champion's accuracy counts as well; labelloop/versions has both measures, in drift.py and falls.py. If
    false, neither is checked.
    """
    on_new_label: bool = True
    """Train when there are a few answers with a label that the newest version does not know."""
    minutes: float = Field(default=10.0, gt=0, le=24 * 60)
    """Time limit of a run, in minutes; a run that takes longer is ended."""
    memory_gb: float = Field(default=4.0, ge=1, le=1024)
    """Address space of the training process, in GiB."""
    threads: int = Field(default=1, ge=1, le=256)
    """Threads of linear algebra. With one, the same cut gives the same version on every machine of the same kind."""
    search: bool = True
    """Whether to tune the learner's few parameters by cross-validation inside the training cut, if there are enough
    answers.
    """

    @field_validator("every", mode="before")
    @classmethod
    def _is_a_duration(cls, every: object) -> object:
        return every if every is None else check_duration(every)

    @field_validator("drift", mode="before")
    @classmethod
    def _is_a_level(cls, drift: object) -> object:
        """Accept whole numbers as levels; a bool is an int in Python, so True is refused."""
        if drift is False or (isinstance(drift, int | float) and drift is not True and 0 < drift <= 10):
            return drift if drift is False else float(drift)
        raise ValueError(f"takes a level above 0, such as 0.25 (10 at most), or false; it is {drift!r}")

    @property
    def every_s(self) -> float | None:
        """`every` in seconds; None if it is not set."""
        return None if self.every is None else seconds(self.every)
