"""LoopSpec: all that is particular to one loop, from its folder's loop.yaml (ours) and labels.xml (Label Studio's)."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from labelloop import loop_yaml, strategies
from labelloop.errors import SpecError
from labelloop.labeling import Kind, LabelingConfig, generate_form
from labelloop.selection import DIVERSITY
from labelloop.trigger import Trigger, compile_trigger

NAME = r"^[a-z][a-z0-9_-]{0,40}$"
SHOWN = ("text", "image")
"""What a generated form can show; write a labels.xml for anything else."""
_MAX_LABELS = 1000
SLICES = ("label", "source", "reviewer", "length", "time")
"""What every hold-out can be cut by, beside the fields of the outputs' data."""
_DURATION = r"[1-9]\d{0,4}[mhdw]"
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LEARNERS = {Kind.LABEL: "text", Kind.LABELS: "multilabel", Kind.SPANS: "spans", Kind.NUMBER: "numbers"}
"""The learner of each kind of answer, where none is named."""
FROZEN = frozenset({"remote"})
"""Learners that no answer teaches: a run needs none, and none is asked for because there are more of them."""
OF_ONE_LABEL = ("committee", "images", "incremental", "tabular", "text", "vectors")
"""Other learners, which give one label and no more. Who is not named here is asked when it is taught."""


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
    """A learner of backend/learners; where none is named, the one in LEARNERS for the loop's kind of answer."""
    field: str | None = None
    """The field of `data` that it reads; where none is named the first one that annotators see, or the text that spans
    are marked in.
    """
    params: dict[str, Any] = {}
    """What else its constructor takes."""

    @property
    def reads(self) -> str:
        """As what it sees the items: text, images, or another name of backend/learners."""
        of_others = ("committee", "estimator", "incremental")
        return str(self.params.get("reads", "text" if "." in self.name or self.name in of_others else self.name))


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


class Shadow(_Strict):
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


class GateSpec(_Strict):
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
    config, learner = spec.config, spec.learner
    named = learner.name if "name" in learner.model_fields_set else LEARNERS[config.kind]
    learner = learner.model_copy(update={"name": named, "field": learner.field or config.text_field})
    spec = spec.model_copy(update={"learner": learner})
    return spec if spec.labels else LoopSpec.model_validate({**spec.model_dump(), "labels": config.labels})


def _agree(document: loop_yaml.Document, spec: LoopSpec) -> None:
    """The labels of loop.yaml and labels.xml are the same, what the learner reads is shown to people, and it learns the
    kind of answer that they give.
    """
    config = spec.config
    if len(spec.labels) == 1 and config.kind is Kind.LABEL:
        raise document.error(("labels",), "labels: one label leaves nothing to choose; name two at least")
    if spec.labels and config.kind is Kind.NUMBER:
        raise document.error(("labels",), f"labels: the answer is a number ({config.answer.tag} in labels.xml)")
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

    if field is not None and config.text_field not in (None, field):
        raise document.error(
            ("learner", "field"), f"learner.field: spans are marked in {config.text_field!r}, not in {field!r}"
        )
    _fits(document, spec, config.kind)


def _fits(document: loop_yaml.Document, spec: LoopSpec, kind: Kind) -> None:
    """The learner and the trigger are such as this kind of answer allows."""
    name = spec.learner.name
    gives = next((of for of, learner in LEARNERS.items() if learner == name), None)
    if name in OF_ONE_LABEL or "." in name:
        gives = Kind.LABEL
    if gives not in (None, kind):
        answer = spec.config.answer
        raise document.error(
            ("learner", "name"),
            f"learner.name: {name!r} gives {gives.words}, and {answer.tag} {answer.name!r} of labels.xml takes "
            f"{kind.words}: {LEARNERS[kind]!r} does",
        )
    if kind is Kind.LABEL:
        return
    for node in ast.walk(ast.parse(spec.trigger.strip(), mode="eval")):
        if isinstance(node, ast.Name) and node.id in ("label", "margin", "entropy"):
            raise document.error(
                ("trigger",),
                f"trigger: {node.id} is of one label, and the answer is {kind.words}: use model_confidence",
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
