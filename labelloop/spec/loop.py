"""LoopSpec: all that is particular to one loop, from its folder's loop.yaml (ours) and labels.xml (Label Studio's)."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic
from pydantic import Field, field_validator, model_validator

from labelloop.errors import SpecError, UsageError
from labelloop.labeling import form_checks
from labelloop.labeling.config import Kind, LabelingConfig
from labelloop.labeling.form import generate_form
from labelloop.labeling.form_checks import MAX_LABELS, label_fault
from labelloop.labeling.form_xml import plain
from labelloop.selection.features import TEXTS
from labelloop.spec import loop_yaml
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
        return _complete({**self.model_dump(), "labels": tuple(labels), "labels_xml": ""})


def load(folder: Path) -> LoopSpec:
    """The loop of this folder, named as the folder is. Raises SpecError with the loop, the file, the line and column of
    what is wrong.
    """
    name, file = folder.absolute().name, folder / "loop.yaml"
    try:
        text = _read(file)
        file = folder / "labels.xml"
        return parse(name, text, _read(file) if file.exists() else "")
    except SpecError as exc:
        raise SpecError(exc.reason, line=exc.line, column=exc.column, loop=name) from exc


def load_all(
    loops_dir: Path, check: Callable[[LoopSpec], None] = lambda _: None
) -> tuple[list[LoopSpec], list[SpecError]]:
    """The loops of a folder of loops, by name; and what is wrong with those that cannot be loaded, one error for each.

    A loop that is wrong keeps no other from being loaded. `check` may find more wrong with one; it raises SpecError.
    """
    specs, faults = [], []
    for file in sorted(loops_dir.glob("*/loop.yaml")):
        try:
            spec = load(file.parent)
            check(spec)
            specs.append(spec)
        except SpecError as exc:
            faults.append(exc)
    return specs, faults


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{file} cannot be read: {exc}") from exc


def parse(name: str, text: str, labels_xml: str = "") -> LoopSpec:
    """The loop called `name`, from the text of its loop.yaml and that of its labels.xml ("" where it has none)."""
    document = loop_yaml.read(text)
    body = document.value
    for own in ("name", "labels_xml"):
        if own in body:
            raise document.error((own,), f"{own}: is not said here: the folder gives it", at_key=True)
    if labels_xml:
        form_checks.check(labels_xml)
    if isinstance(learner := body.get("learner"), str):  # `learner: none`, in short
        body = {**body, "learner": {"name": learner}}
    try:
        spec = _complete({**body, "name": name, "labels_xml": plain(labels_xml)})
    except pydantic.ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        if first["loc"][:1] == ("name",):
            raise SpecError(_name_fault(name)) from None
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
    _reads(document, spec)
    _fits(document, spec, config.kind)


def _reads(document: loop_yaml.Document, spec: LoopSpec) -> None:
    """A learner of texts reads a text, and not the address of a picture, a sound or a file."""
    learner, addresses = spec.learner, spec.config.addresses
    if learner.fetch and learner.reads != "images":
        raise document.error(
            ("learner", "fetch"), f"learner.fetch: pictures are fetched, and {learner.name!r} does not read any"
        )
    if learner.name == NONE:
        if learner.params:
            raise document.error(("learner", "params"), "learner.params: there is no learner; name one in learner.name")
        return
    as_text = learner.reads in TEXTS or (learner.name == "remote" and learner.params.get("protocol") == "chat")
    read = [spec.field] if as_text else []
    if learner.name in ("tabular", "numbers"):
        fields = learner.params.get("fields")
        read += fields if isinstance(fields, list | tuple) else ()  # anything else the learner refuses itself
    for field in (name for name in read if name in addresses or name is None):
        if field is None and not addresses:
            raise document.error(
                ("learner",),
                f"learner: {learner.name!r} reads a text, and labels.xml shows no field of the data: show one, such as "
                "value='$text', or name `none`",
            )
        what = f"annotators see {', '.join(addresses)} only" if field is None else f"{field!r} is one in labels.xml"
        raise document.error(
            ("learner",),
            f"learner: {learner.name!r} would learn the text of an address, and {what}: name `images` for pictures, "
            "`none`, or a text in learner.field",
        )


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


def _name_fault(name: str) -> str:
    rule = "1 to 41 small letters, digits, _ and -, the first a letter"
    return f"the folder gives the loop its name: {rule}; it is {name!r}"


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
