"""LoopSpec: everything that is particular to one loop. labelloop/spec/folder.py reads it from the loop's folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from labelloop.errors import UsageError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Former, Kind
from labelloop.labeling.form import generate_form
from labelloop.labeling.form_checks import MAX_LABELS, label_fault
from labelloop.reading.nearest import did_you_mean
from labelloop.spec.accept import Accept
from labelloop.spec.budget import Budget
from labelloop.spec.examples import Examples
from labelloop.spec.faults import Contradiction, Fault, faults
from labelloop.spec.gate import GateSpec
from labelloop.spec.judge import JudgeSpec
from labelloop.spec.learners import IMAGES, NONE, TEXT, default_learner
from labelloop.spec.opinions import MAJORITY, Opinions
from labelloop.spec.people import People
from labelloop.spec.sections import (
    NAME,
    YOUNGER_KEYS,
    Action,
    Addresses,
    LearnerSpec,
    Media,
    PrelabelSpec,
    Queue,
    Retrain,
    Steps,
    Strict,
    Target,
)
from labelloop.spec.trigger import Trigger, compile_trigger

MAX_DEFINITION = 300
"""Largest number of characters of a label's definition."""
SHOWABLE_FIELDS = ("text", "image")
"""Kinds of fields that a generated form can show; anything else needs a labels.xml."""


class LoopSpec(Strict):
    """The spec of one loop. Every key except `trigger` has a default."""

    name: str = Field(pattern=NAME)
    trigger: str
    actions: tuple[Action, ...] = Field(default=(Action(),), min_length=1, max_length=1)
    targets: tuple[Target, ...] = ()
    show: dict[str, str] = Field(default={"text": "$text"}, min_length=1)
    """Fields of `data` that the generated form shows: {text: "$text"} or {image: "$image"}."""
    audit: float = Field(default=0.05, ge=0, le=1)
    """Chance (0 to 1) that people review an item all the same when the trigger does not send it."""
    holdout: float = Field(default=0.2, ge=0, lt=1)
    """Share (0 to 1) of the groups in the hold-out set: their answers judge models and never train one."""
    labels: tuple[str, ...] = Field(default=(), max_length=MAX_LABELS)
    """The labels; those of labels.xml if there is one."""
    definitions: dict[str, Annotated[str, Field(min_length=1, max_length=MAX_DEFINITION)]] = Field(default={})
    """Definitions by label. The instruction of the project lists them, and a generated form shows each when the mouse
    rests on its label.
    """
    budget: Budget | None = None
    """Largest numbers of tasks a day; None means no limit."""
    accept: Accept | None = None
    """Promise about what passes unseen; None means that whatever the trigger does not send passes, without one."""
    reuse_answers: bool = False
    """Whether a new output with unchanged content gets the answer of the earlier one, and nobody is asked again."""
    overlap: int = Field(default=1, ge=1, le=10)
    """Number of annotators that answer each task."""
    reviewers_may_edit: Addresses = ()
    """Addresses of people who may change the answers of others: their edits count at once, without an alert."""
    adjudicators: Addresses = ()
    """Addresses of people whose answer to an output is final; the newest one if several of them answered."""
    consensus: Literal["majority", "dawid-skene", "crowdlab"] = MAJORITY
    """Rule by which several people's answers become one, see answers/consensus.py."""
    opinions: Opinions | None = None
    """When more people are asked about an item than `overlap`; None means never."""
    people: People | None = None
    """How open tasks are shared out among people; None means that everybody is served from one queue."""
    tolerance: float | None = Field(default=None, ge=0)
    """Largest distance of two numbers or ratings that count as the same; None means a twentieth of the range."""
    title: str = Field(default="", max_length=50)
    """Title of the project in Label Studio, 3 to 50 characters; "" means the loop's name."""
    description: str = Field(default="", max_length=500)
    """Description in Label Studio's list of projects, a sentence or two; "" means a hint on which buttons to press."""
    instruction: str = Field(default="", max_length=10_000)
    """Text that annotators read before they begin, plain or HTML; the hint on which buttons to press follows it."""
    queue: Queue = Queue()
    media: Media = Media()
    steps: Steps = Steps()
    prelabel: PrelabelSpec = PrelabelSpec()
    learner: LearnerSpec = LearnerSpec()
    retrain: Retrain = Retrain()
    gate: GateSpec = GateSpec()
    examples: Examples | None = None
    """Texts of examples for training a language model; None means the only text as prompt, the label as completion."""
    judge: JudgeSpec | None = None
    """Rules for the certificate of a judge; None if the outputs are not a judge's verdicts."""
    answer: tuple[str, ...] = ()
    """Names of the controls of labels.xml that hold the answer; () leaves it to the form."""
    labels_xml: str = ""
    """The labeling config: labels.xml, or the form generated from `actions` if there is none."""
    former_labels: dict[str, Former] = Field(default={})
    """Labels that the loop had before, each with its end; `labelloop schema` decides it, and no file names it."""

    @field_validator("show")
    @classmethod
    def _shows_fields(cls, show: dict[str, str]) -> dict[str, str]:
        for kind, value in show.items():
            if kind not in SHOWABLE_FIELDS:
                near = did_you_mean(kind, SHOWABLE_FIELDS)
                words = f"{kind!r} cannot be shown{near}; there are: {', '.join(SHOWABLE_FIELDS)}"
                raise Contradiction(Fault((kind,), words, at_key=True))
            if not value.startswith("$") or not value[1:].isidentifier():
                raise Contradiction(Fault((kind,), f"names a field of data, such as '$text'; it is {value!r}"))
        return show

    @model_validator(mode="after")
    def _contradicts_nothing(self) -> LoopSpec:
        if found := [*faults(self)]:
            raise Contradiction(*found)
        return self

    @field_validator("answer", mode="before")
    @classmethod
    def _may_be_one_name(cls, answer: object) -> object:
        if isinstance(answer, str):
            return (answer,)
        return tuple(answer) if isinstance(answer, list) else answer

    @field_validator("title")
    @classmethod
    def _is_long_enough(cls, title: str) -> str:
        if title and len(title.strip()) < 3:
            raise ValueError(f"Label Studio needs 3 to 50 characters; it is {title!r}")
        return title.strip()

    @field_validator("labels")
    @classmethod
    def _can_be_shown(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        found, known = list[Fault](), set[str]()
        for place, label in enumerate(labels):
            wrong = label_fault(label)
            if not wrong and label.startswith("$"):
                wrong = f"Label Studio reads {label!r} as a field of the data; a label must not begin with $"
            if not wrong and label in known:
                wrong = f"{label!r} is named twice"
            if wrong:
                found.append(Fault((place,), wrong))
            known.add(label)
        if found:
            raise Contradiction(*found)
        return labels

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LoopSpec:
        """Return the spec that `loops.spec` holds."""
        return cls.model_validate_json(json.dumps(value))

    def to_json(self) -> dict[str, Any]:
        """Return the spec as plain JSON; `from_json` gives an equal spec back."""
        return self.model_dump(mode="json")

    def sha256(self) -> bytes:
        """Return the hash of the content: equal specs have equal hashes.

        An upgrade that adds a key changes no hash of a spec that leaves the key out.
        """
        content = {
            name: value
            for name, value in self.to_json().items()
            if name not in YOUNGER_KEYS or getattr(self, name) != type(self).model_fields[name].default
        }
        for name in ("control_weight", "blind"):  # younger than stored specs, too
            if getattr(self.queue, name) in ({}, None):
                del content["queue"][name]
        if self.accept is not None and not self.accept.teach:
            del content["accept"]["teach"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()

    @property
    def config(self) -> LabelingConfig:
        return LabelingConfig.parse(self.labels_xml, self.answer, self.former_labels)

    @property
    def asks_blind(self) -> bool:
        """Whether some outputs should go to people without a prelabel; queue/blind.py says which."""
        return self.judge is not None if self.queue.blind is None else self.queue.blind > 0

    @property
    def answer_is_filled_in(self) -> bool:
        """Whether `answer` was taken from the form, since loop.yaml does not name it."""
        return "answer" not in self.model_fields_set

    @property
    def field(self) -> str | None:
        """The field of `data` that the learner reads; None if there is none.

        It is the field named in `learner.field`, or the text in which spans are marked. Otherwise it is the first field
        that annotators see and that the learner can read.
        """
        if self.learner.field is not None:
            return self.learner.field
        config = self.config
        if self.learner.reads == IMAGES and config.pictures:
            return config.pictures[0]
        reads_text = self.learner.reads == TEXT
        return next((name for name in config.data_fields if not (reads_text and name in config.addresses)), None)

    @property
    def without_learner(self) -> str | None:
        """Reason why nothing is trained for this loop, as a sentence for people; None if the loop has a learner."""
        if self.learner.name != NONE:
            return None
        config = self.config
        shown = ", ".join(config.addresses)
        why = f" (the form shows addresses: {shown})" if shown else ""
        ways = []
        if config.kind is Kind.LABEL and config.pictures:
            ways.append("`learner: {name: images}` learns from pictures")
        if default_learner(config.kind) != NONE:
            ways.append("`learner: {field: ...}` learns from a text")
        if not ways:
            ways.append(f"A model of your own can learn {config.kind.words}, as learner label-studio-ml or remote")
        return (
            f"loop {self.name} has no learner{why}: no run is started, and the pipeline's confidence ranks its "
            f"outputs. {', '.join(ways)}"
        )

    def require_learner(self) -> None:
        """Raise UsageError if the loop has no learner."""
        if self.without_learner is not None:
            raise UsageError(self.without_learner)

    @property
    def sends(self) -> Trigger:
        """The trigger as a function."""
        return compile_trigger(self.trigger, self.labels)

    @property
    def chain(self) -> tuple[str, ...]:
        """The loops whose outputs are steps of one trace: this one first, then those that `steps.loops` names."""
        return (self.name, *(loop for loop in self.steps.loops if loop != self.name))

    def with_labels(self, labels: Sequence[str]) -> LoopSpec:
        """Return the same loop with these labels and the form generated for them."""
        return complete({**self.model_dump(), "labels": tuple(labels), "labels_xml": ""})


def keep_controls(spec: LoopSpec, before: LoopSpec) -> LoopSpec:
    """Return the spec with the former generated form if its form lacks a control that `before` has; else unchanged.

    Label Studio refuses a form without the controls that the answers of a project use. A form from labels.xml stays.
    """
    if spec.labels_xml != _generated(spec):
        return spec
    had, has = before.config, spec.config
    if (had.quick is None or has.quick is not None) and (had.verdict is None or has.verdict is not None):
        return spec
    return spec.model_copy(update={"labels_xml": _generated(spec, former=True)})


def _generated(spec: LoopSpec, *, former: bool = False) -> str:
    steps = spec.steps.show
    # A question about the pipeline's answer shows that answer.
    fields = [one for one in spec.actions[0].fields if former or one != "approval" or not spec.asks_blind]
    return generate_form(spec.labels, fields, spec.show, steps=steps, hints=spec.definitions, former=former)


def complete(values: Mapping[str, Any]) -> LoopSpec:
    """Return a checked spec that has a labeling config: its own, or the generated form."""
    spec = LoopSpec.model_validate(values)
    generated = not spec.labels_xml
    if generated:
        spec = spec.model_copy(update={"labels_xml": _generated(spec)})
    filled_in = not spec.answer
    if filled_in:
        spec = spec.model_copy(update={"answer": LabelingConfig.parse(spec.labels_xml).everything})
    config, learner = spec.config, spec.learner
    if "name" not in learner.model_fields_set:
        read = config.addresses if learner.field is None else [learner.field]
        name = NONE if set(read) & set(config.addresses) else default_learner(config.kind)
        learner = learner.model_copy(update={"name": name})
    if learner.name != NONE:
        learner = learner.model_copy(update={"field": learner.field or config.text_field})
    spec = spec.model_copy(update={"learner": learner})
    if not generated and not spec.labels:
        spec = LoopSpec.model_validate({**spec.model_dump(), "labels": config.labels})
    if filled_in:
        spec.model_fields_set.discard("answer")
    return spec
