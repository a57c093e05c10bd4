"""LoopSpec: everything that is particular to one loop. labelloop/spec/folder.py reads it from a loop's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, field_validator, model_validator

from labelloop.errors import UsageError
from labelloop.labeling.config import Kind, LabelingConfig
from labelloop.labeling.form import generate_form
from labelloop.labeling.form_checks import MAX_LABELS, label_fault
from labelloop.selection.features import TEXTS
from labelloop.spec.sections import NONE, Action, GateSpec, LearnerSpec, PrelabelSpec, Queue, Retrain, Strict, Target
from labelloop.spec.trigger import Trigger, compile_trigger

NAME = r"^[a-z][a-z0-9_-]{0,40}$"
SHOWN = ("text", "image")
"""What a generated form can show; write a labels.xml for anything else."""
LEARNERS = {Kind.LABEL: "text", Kind.LABELS: "multilabel", Kind.SPANS: "spans", Kind.NUMBER: "numbers"}
"""The learner of each kind of answer, where none is named."""
OF_ONE_LABEL = ("committee", "images", "incremental", "tabular", "text", "vectors")
"""Other learners, which give one label and no more. Any other learner is checked when training starts."""


class LoopSpec(Strict):
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
    labels: tuple[str, ...] = Field(default=(), max_length=MAX_LABELS)
    """The labels; those of labels.xml where there is one."""
    overlap: int = Field(default=1, ge=1, le=10)
    """How many people answer one task."""
    tolerance: float | None = Field(default=None, ge=0)
    """How far from a number or rating another is still the same answer; a twentieth of its range where none is said."""
    title: str = Field(default="", max_length=50)
    """Name of the project in Label Studio; "": the loop's name."""
    description: str = Field(default="", max_length=500)
    """What the list of projects says of it, in a sentence or two; "": what to press."""
    instruction: str = Field(default="", max_length=10_000)
    """What annotators read before they begin, in plain text or HTML; what to press follows."""
    queue: Queue = Queue()
    prelabel: PrelabelSpec = PrelabelSpec()
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

    @field_validator("title")
    @classmethod
    def _is_long_enough(cls, title: str) -> str:
        if title and len(title.strip()) < 3:
            raise ValueError(f"Label Studio wants 3 to 50 characters; it is {title!r}")
        return title.strip()

    @field_validator("labels")
    @classmethod
    def _can_be_shown(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        for label in labels:
            if wrong := label_fault(label):
                raise ValueError(wrong)
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
    def field(self) -> str | None:
        """The field of `data` that the learner reads: the one that is named, or the text that spans are marked in; else
        the first one that annotators see and that it can read. None where there is none.
        """
        if self.learner.field is not None:
            return self.learner.field
        config = self.config
        if self.learner.reads == "images" and config.pictures:
            return config.pictures[0]
        reads_text = self.learner.reads in TEXTS
        return next((name for name in config.data_fields if not (reads_text and name in config.addresses)), None)

    @property
    def without_learner(self) -> str | None:
        """Why nothing is trained here, in a sentence for people; None where something is."""
        if self.learner.name != NONE:
            return None
        shown = ", ".join(self.config.addresses)
        why = f" (the form shows addresses: {shown})" if shown else ""
        return (
            f"loop {self.name} has no learner{why}: no run is started, and the pipeline's confidence ranks its "
            "outputs. `learner: {name: images}` learns from pictures, `learner: {field: ...}` from a text"
        )

    def require_learner(self) -> None:
        """Raises UsageError where there is nothing to train."""
        if self.without_learner is not None:
            raise UsageError(self.without_learner)

    @property
    def sends(self) -> Trigger:
        """The trigger as a function."""
        return compile_trigger(self.trigger, self.labels)

    def with_labels(self, labels: Sequence[str]) -> LoopSpec:
        """The same loop with these labels and the form generated for them."""
        return complete({**self.model_dump(), "labels": tuple(labels), "labels_xml": ""})


def complete(values: Mapping[str, Any]) -> LoopSpec:
    """A checked spec whose labeling config is there: its own, or the generated form."""
    spec = LoopSpec.model_validate(values)
    generated = not spec.labels_xml
    if generated:
        xml = generate_form(spec.labels, spec.actions[0].fields, spec.show)
        spec = spec.model_copy(update={"labels_xml": xml})
    config, learner = spec.config, spec.learner
    if "name" not in learner.model_fields_set:
        looks = config.addresses if learner.field is None else [learner.field]
        name = NONE if set(looks) & set(config.addresses) else LEARNERS[config.kind]
        learner = learner.model_copy(update={"name": name})
    if learner.name != NONE:
        learner = learner.model_copy(update={"field": learner.field or config.text_field})
    spec = spec.model_copy(update={"learner": learner})
    if generated:
        return spec
    return spec if spec.labels else LoopSpec.model_validate({**spec.model_dump(), "labels": config.labels})
