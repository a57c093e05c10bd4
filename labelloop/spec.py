"""LoopSpec: all that is particular to one loop, from its folder's loop.yaml (ours) and labels.xml (Label Studio's)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from labelloop import loop_yaml, strategies
from labelloop.errors import SpecError
from labelloop.labeling import LabelingConfig, generate_form
from labelloop.selection import DIVERSITY
from labelloop.trigger import Trigger, compile_trigger

NAME = r"^[a-z][a-z0-9_-]{0,40}$"
SHOWN = ("text", "image")
"""What a generated form can show; write a labels.xml for anything else."""
_MAX_LABELS = 1000
_DURATION = r"[1-9]\d{0,4}[mhdw]"
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Action(_Strict):
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


class Target(_Strict):
    """What the loop is for, in people's words: kept and shown, not computed with, so further keys are welcome."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    metric: str
    goal: str | float | None = None


class Queue(_Strict):
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


class LearnerSpec(_Strict):
    name: str = "text"
    """A learner of backend/learners."""
    field: str | None = None
    """The field of `data` that it reads; the first one that annotators see where none is named."""
    params: dict[str, Any] = {}
    """What else its constructor takes."""

    @property
    def reads(self) -> str:
        """As what it sees the items: text, images, or another name of backend/learners."""
        of_texts = ("committee", "estimator", "incremental", "multilabel", "numbers", "spans")
        return str(self.params.get("reads", "text" if "." in self.name or self.name in of_texts else self.name))


class Retrain(_Strict):
    """When a run is asked for, and what it may use."""

    after: int = Field(default=50, ge=1)
    """Train when this many answers are new since the last run."""
    every: str | None = None
    """Train when the last run began so long ago and any answer is new: `6h`; also m, d and w."""
    drift: float | Literal[False] = 0.25
    """Train when what comes in has moved this far (population stability index), or the champion is right less often
    than it was, and some answers are new; false: do not look. labelloop/drift.py says how it is told."""
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


class GateSpec(_Strict):
    min_holdout: int = Field(default=20, ge=1)
    """Fewer held-out answers than this: no verdict, the champion stays."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Promote when the one-sided exact McNemar test is at or below it."""


class LoopSpec(_Strict):
    """One loop. Every key but `trigger` has a default."""

    name: str = Field(pattern=NAME)
    trigger: str
    actions: tuple[Action, ...] = Field(default=(Action(),), min_length=1, max_length=1)
    targets: tuple[Target, ...] = ()
    show: dict[str, str] = Field(default={"text": "$text"}, min_length=1)
    """What the generated form shows: {text: "$text"} or {image: "$image"}, each a field of `data`."""
    audit: float = Field(default=0.05, ge=0, le=1)
    """Chance of an item that the trigger lets pass to be shown to people all the same."""
    holdout: float = Field(default=0.2, ge=0, lt=1)
    """Share of the groups whose answers judge models and never teach one."""
    labels: tuple[str, ...] = Field(default=(), max_length=_MAX_LABELS)
    """The labels; those of labels.xml where there is one."""
    overlap: int = Field(default=1, ge=1, le=10)
    """How many people answer one task."""
    tolerance: float | None = Field(default=None, ge=0)
    """How far from a number or rating another is still the same answer; a twentieth of its range where none is said."""
    queue: Queue = Queue()
    learner: LearnerSpec = LearnerSpec()
    retrain: Retrain = Retrain()
    gate: GateSpec = GateSpec()
    labels_xml: str = ""
    """The labeling config: labels.xml, or the form generated from `actions` where there is none."""

    @field_validator("show")
    @classmethod
    def _shows_fields(cls, show: dict[str, str]) -> dict[str, str]:
        for kind, value in show.items():
            if kind not in SHOWN:
                raise ValueError(f"{kind!r} cannot be shown; there are: {', '.join(SHOWN)}")
            if not value.startswith("$") or not value[1:].isidentifier():
                raise ValueError(f"{kind} names a field of data, such as '$text'; it is {value!r}")
        return show

    @model_validator(mode="after")
    def _asks_a_second_person_once(self) -> LoopSpec:
        if self.queue.second and self.overlap > 1:
            raise ValueError(
                f"queue.second asks a second person about doubtful answers, and overlap {self.overlap} asks more than "
                "one about every task: one of the two"
            )
        return self

    @field_validator("labels")
    @classmethod
    def _can_be_shown(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            if label != label.strip() or not label.isprintable() or not 0 < len(label) <= 200:
                raise ValueError(f"a label is 1 to 200 printable characters without blanks around; found {label!r}")
            if label.startswith("$"):
                raise ValueError(f"Label Studio reads {label!r} as a field of the data; no label can begin with $")
        if len(set(labels)) < len(labels):
            raise ValueError(f"named twice: {', '.join(sorted({x for x in labels if labels.count(x) > 1}))}")
        if len(labels) == 1:
            raise ValueError("one label leaves nothing to choose; name two at least")
        return labels

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LoopSpec:
        """The spec as `loops.spec` holds it."""
        return cls.model_validate_json(json.dumps(value))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; from_json gives an equal spec back."""
        return self.model_dump(mode="json")

    @property
    def config(self) -> LabelingConfig:
        return LabelingConfig.parse(self.labels_xml)

    @property
    def sends(self) -> Trigger:
        """The trigger as a function."""
        return compile_trigger(self.trigger, self.labels)

    def with_labels(self, labels: Sequence[str]) -> LoopSpec:
        """The same loop with these labels and the form generated for them."""
        return _complete({**self.model_dump(), "labels": tuple(labels), "labels_xml": ""})


def load(folder: Path) -> LoopSpec:
    """The loop of this folder, named as the folder is. Raises SpecError with the line and column of what is wrong."""
    try:
        text = (folder / "loop.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{folder / 'loop.yaml'} cannot be read: {exc}") from exc
    xml = folder / "labels.xml"
    try:
        return parse(folder.absolute().name, text, xml.read_text(encoding="utf-8") if xml.exists() else "")
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{xml} cannot be read: {exc}") from exc


def parse(name: str, text: str, labels_xml: str = "") -> LoopSpec:
    """The loop called `name`, from the text of its loop.yaml and that of its labels.xml ("" where it has none)."""
    document = loop_yaml.read(text)
    body = document.value
    for own in ("name", "labels_xml"):
        if own in body:
            raise document.error((own,), f"{own}: is not said here: the folder gives it", at_key=True)
    try:
        spec = _complete({**body, "name": name, "labels_xml": labels_xml})
    except pydantic.ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise document.error(first["loc"], _words(first), at_key=first["type"] == "extra_forbidden") from None
    try:
        compile_trigger(spec.trigger, spec.labels)
    except SpecError as exc:
        raise document.inside(("trigger",), exc.line or 1, exc.column or 1, exc.reason) from None
    _agree(document, spec)
    return spec


def _complete(values: Mapping[str, Any]) -> LoopSpec:
    """A checked spec whose labeling config is there: its own, or the generated form."""
    spec = LoopSpec.model_validate(values)
    if not spec.labels_xml:
        xml = generate_form(spec.labels, spec.actions[0].fields, spec.show)
        return spec.model_copy(update={"labels_xml": xml})
    labels = spec.config.labels
    return spec if spec.labels else LoopSpec.model_validate({**spec.model_dump(), "labels": labels})


def _agree(document: loop_yaml.Document, spec: LoopSpec) -> None:
    """The labels of loop.yaml and labels.xml are the same, and what the learner reads is shown to people."""
    config = spec.config
    if config.labels and set(config.labels) != set(spec.labels):
        raise document.error(
            ("labels",), f"labels: {', '.join(spec.labels)} here, but labels.xml has {', '.join(config.labels)}"
        )
    field = spec.learner.field
    if field is not None and field not in config.data_fields:
        raise document.error(
            ("learner", "field"),
            f"learner.field: annotators do not see {field!r}; they see: {', '.join(config.data_fields) or 'nothing'}",
        )


def _words(error: Any) -> str:
    path = loop_yaml.dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            return f"{path}: no such key"
        case "missing":
            return f"{path}: is missing"
        case "string_type":
            return f"{path}: text is wanted, not {error['input']!r}; put it in quotes"
        case "too_short":
            return f"{path}: takes {error['ctx']['min_length']} at least"
        case "too_long":
            return f"{path}: takes {error['ctx']['max_length']} at most"
    message = str(error["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    return f"{path}: {message}, not {error['input']!r}" if "should" in message else f"{path}: {message}"
