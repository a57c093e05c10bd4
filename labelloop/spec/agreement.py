"""Check that the parts of a loop agree: loop.yaml with labels.xml, and the learner with the kind of answer."""

from __future__ import annotations

from collections.abc import Iterator

from labelloop.errors import SpecError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.reading.nearest import did_you_mean, some
from labelloop.spec import loop_yaml, trigger
from labelloop.spec.accept import ALL
from labelloop.spec.budget import EACH
from labelloop.spec.learners import IMAGES, NONE, TEXT, default_learner
from labelloop.spec.loop import LoopSpec
from labelloop.spec.opinions import CROWDLAB, MAJORITY


def disagreements(document: loop_yaml.Document, spec: LoopSpec) -> Iterator[SpecError]:
    """Yield an error for each two parts of the spec that do not agree.

    The labels of loop.yaml and labels.xml must be the same. Annotators must see the field that the learner reads. The
    learner must predict the kind of answer that they give.
    """
    config = spec.config
    if len(spec.labels) == 1 and config.kind is Kind.LABEL:
        yield document.error(("labels",), "labels: with one label there is nothing to choose; name at least two")
    if spec.labels and config.kind in (Kind.NUMBER, Kind.TEXT, Kind.ORDER, Kind.DATE):
        what = f"labels: the answer is {config.kind.words} ({config.answer.tag} in labels.xml)"
        yield document.error(("labels",), what)
    if spec.labels and config.kind is Kind.FORM:
        what = "labels: the answer is in several controls, which have their own labels in labels.xml: leave this out"
        yield document.error(("labels",), what)
    if config.labels and set(config.labels) != set(spec.labels):
        yield document.error(
            ("labels",), f"labels: {', '.join(spec.labels)} here, but labels.xml has {', '.join(config.labels)}"
        )
    field = spec.learner.field
    if field is not None and field not in config.data_fields:
        yield document.error(
            ("learner", "field"),
            f"learner.field: annotators do not see {field!r}; they see: {', '.join(config.data_fields) or 'nothing'}",
        )

    if field is not None and config.text_field not in (None, field):
        yield document.error(
            ("learner", "field"), f"learner.field: spans are marked in {config.text_field!r}, not in {field!r}"
        )
    if spec.steps.show and not config.shows_steps:
        yield document.error(
            ("steps", "show"),
            "steps.show: is about the generated form; a labels.xml shows the steps by "
            "<Text name='steps' value='$labelloop_steps'/>",
        )
    yield from _of_answer(document, spec, config)
    yield from _of_weights(document, spec, config)
    yield from _of_what_is_read(document, spec)
    yield from _of_kind(document, spec, config.kind)
    yield from _of_budget(document, spec, config.kind)
    yield from _of_accept(document, spec, config.kind)
    yield from _of_consensus(document, spec, config.kind)
    yield from _of_examples(document, spec, config)
    yield from _of_blind(document, spec, config)


def _of_answer(document: loop_yaml.Document, spec: LoopSpec, config: LabelingConfig) -> Iterator[SpecError]:
    """Check that the controls in `answer` can hold an answer together: each once, about the item, and no comment."""
    comment, verdict = config.comment, config.verdict
    for place, name in enumerate(spec.answer):
        path = ("answer", place)
        control = config.by_name.get(name)
        if name in spec.answer[:place]:
            yield document.error(path, f"answer: {name!r} is named twice")
        elif comment is not None and name == comment.name:
            yield document.error(path, f"answer: {name!r} is the comment, which is kept beside the answer")
        elif verdict is not None and name == verdict.name and len(spec.answer) > 1:
            yield document.error(
                path,
                f"answer: {name!r} tells whether the pipeline's answer is correct, and is no part of it: leave it out",
            )
        elif control is not None and control.per_region and control.kind is not Kind.OTHER:
            yield document.error(
                path,
                f"answer: {control.words} asks about regions (perRegion): name the control that marks them, and each "
                "region has the answer about it",
            )


def _of_weights(document: loop_yaml.Document, spec: LoopSpec, config: LabelingConfig) -> Iterator[SpecError]:
    """Check that the weights are those of controls that are part of the answer."""
    there = [part.name for part in config.answer.parts]
    for name in spec.queue.control_weight:
        if name not in there:
            hint = some(there) if there else "the answer is in one control, so there is nothing to weigh"
            what = f"queue.control_weight: no control {name!r} in the answer{did_you_mean(name, there)}; {hint}"
            yield document.error(("queue", "control_weight", name), what, at_key=True)


def _of_what_is_read(document: loop_yaml.Document, spec: LoopSpec) -> Iterator[SpecError]:
    """Check that a learner of texts reads a text, and not the address of a picture, a sound or a file."""
    learner, addresses = spec.learner, spec.config.addresses
    if learner.fetch and learner.reads != IMAGES:
        yield document.error(
            ("learner", "fetch"), f"learner.fetch: only pictures are fetched, and {learner.name!r} reads none"
        )
    if learner.name == NONE:
        if learner.params:
            yield document.error(("learner", "params"), "learner.params: there is no learner; name one in learner.name")
        return
    as_text = learner.reads == TEXT or (learner.name == "remote" and learner.params.get("protocol") == "chat")
    read = [spec.field] if as_text else []
    if learner.name in ("tabular", "numbers"):
        fields = learner.params.get("fields")
        read += fields if isinstance(fields, list | tuple) else ()  # the learner itself refuses anything else
    for field in (name for name in read if name in addresses or name is None):
        if field is None and not addresses:
            yield document.error(
                ("learner",),
                f"learner: {learner.name!r} reads a text, and labels.xml shows no field of the data: show one, such as "
                "value='$text', or name `none`",
            )
            continue
        what = f"annotators see {', '.join(addresses)} only" if field is None else f"{field!r} is one in labels.xml"
        yield document.error(
            ("learner",),
            f"learner: {learner.name!r} would learn the text of an address, and {what}: name `images` for pictures, "
            "`none`, or a text in learner.field",
        )


def _of_kind(document: loop_yaml.Document, spec: LoopSpec, kind: Kind) -> Iterator[SpecError]:
    """Check that the learner predicts this kind of answer, and that the trigger uses only facts that it has."""
    name = spec.learner.name
    predicts = spec.learner.facts.predicts
    if predicts not in (None, kind):
        better = default_learner(kind)
        others = "name `none`, or a model of your own: label-studio-ml, remote"
        instead = others if better == NONE else f"{better!r} does"
        yield document.error(
            ("learner", "name"),
            f"learner.name: {name!r} predicts {predicts.words}, and {spec.config.answer.words} of labels.xml takes "
            f"{kind.words}: {instead}",
        )
    if kind is Kind.LABEL:
        return
    needs_one = {"label", "margin", "entropy"} | ({"probabilities"} if kind is not Kind.LABELS else set())
    for named, line, column in trigger.names(spec.trigger):
        if named in needs_one:
            why = f"trigger: {named} needs one label, and the answer is {kind.words}: use model_confidence"
            yield document.inside(("trigger",), line, column, why)


def _of_budget(document: loop_yaml.Document, spec: LoopSpec, kind: Kind) -> Iterator[SpecError]:
    """Check that the budget limits labels that exist."""
    limits = {} if spec.budget is None else spec.budget.per_label
    if limits and kind is not Kind.LABEL:
        yield document.error(
            ("budget", "per_label"), f"budget.per_label: needs one label, and the answer is {kind.words}: use per_day"
        )
        return
    for label in (label for label in limits if label not in (EACH, *spec.labels)):
        near = did_you_mean(label, spec.labels)
        path = ("budget", "per_label", label)
        yield document.error(path, f"budget.per_label: no label {label!r}{near}; {some(spec.labels)}", at_key=True)


def _of_accept(document: loop_yaml.Document, spec: LoopSpec, kind: Kind) -> Iterator[SpecError]:
    """Check that chance chooses answers for the promise, and that nothing passes around it."""
    if spec.accept is None:
        return
    if not spec.holdout and not spec.audit:
        yield document.error(
            ("accept",),
            "accept: needs answers that chance chose among the outputs that could pass unseen: set holdout or audit "
            "above 0",
        )
    if spec.accept.by and (kind is not Kind.LABEL or not spec.labels):
        what = "a free text" if kind is Kind.LABEL else kind.words
        yield document.error(
            ("accept", "by"), f"accept.by: label needs one label as the answer, and it is {what}: leave it out"
        )
    if spec.accept.by and ALL in spec.labels:
        yield document.error(
            ("accept", "by"), f"accept.by: the label {ALL!r} would stand for all labels in a certificate: rename it"
        )
    if spec.accept.teach and not spec.learner.is_trained:
        yield document.error(
            ("accept", "teach"), f"accept.teach: the learner {spec.learner.name} is not trained: leave it out"
        )
    if spec.reuse_answers:
        yield document.error(
            ("accept",),
            "accept: cannot be combined with reuse_answers, because an output would pass unseen for all that repeat "
            "it, also for those that chance chose: use one of the two",
        )
    if spec.budget is not None and spec.budget.over == "pass":
        yield document.error(
            ("accept",),
            "accept: budget.over pass would let outputs pass unseen without the promise: set budget.over to wait",
        )


def _of_consensus(document: loop_yaml.Document, spec: LoopSpec, kind: Kind) -> Iterator[SpecError]:
    """Check that people's quality can be estimated: from one label of several."""
    if spec.consensus != MAJORITY and (kind is not Kind.LABEL or not spec.labels):
        answer = "a free text" if kind is Kind.LABEL else kind.words
        yield document.error(
            ("consensus",),
            f"consensus: {spec.consensus} needs one label of several as the answer, and it is {answer}: use "
            f"{MAJORITY}, which takes every kind",
        )
    if spec.consensus == CROWDLAB and not spec.learner.is_trained:
        yield document.error(
            ("consensus",),
            f"consensus: {CROWDLAB} weighs the opinion of a learner that is trained here, and the learner is "
            f"{spec.learner.name!r}: use dawid-skene, which needs none",
        )


def _of_examples(document: loop_yaml.Document, spec: LoopSpec, config: LabelingConfig) -> Iterator[SpecError]:
    """Check that the texts of examples are fields that people see, for labels that they give, written where they can
    write.
    """
    if (examples := spec.examples) is None:
        return
    if config.kind is not Kind.LABEL or not spec.labels:
        answer = "a free text" if config.kind is Kind.LABEL else config.kind.words
        yield document.error(("examples",), f"examples: needs one label as the answer, and it is {answer}")
        return
    fields = tuple(field for field in config.data_fields if field not in config.addresses)
    areas = tuple(c.name for c in config.controls if c.tag == "TextArea" and not c.per_region and c != config.comment)
    for path, field in (("prompt", examples.prompt), *((f"texts.{one}", f) for one, f in examples.texts.items())):
        if field not in fields:
            what = f"examples.{path}: annotators do not read {field!r}{did_you_mean(field, fields)}"
            yield document.error(
                ("examples", *path.split(".", 1)), f"{what}; they read: {', '.join(fields) or 'nothing'}"
            )
    for label, area in examples.edits.items():
        if area not in areas:
            what = f"examples.edits.{label}: labels.xml has no TextArea {area!r} for a text{did_you_mean(area, areas)}"
            yield document.error(("examples", "edits", label), f"{what}; there are: {', '.join(areas) or 'none'}")
    for part, labels in (("texts", examples.texts), ("edits", examples.edits)):
        for label in (label for label in labels if label not in spec.labels):
            near = did_you_mean(label, spec.labels)
            why = f"examples.{part}: no label {label!r}{near}; {some(spec.labels)}"
            yield document.error(("examples", part, label), why, at_key=True)


def _of_blind(document: loop_yaml.Document, spec: LoopSpec, config: LabelingConfig) -> Iterator[SpecError]:
    """Check that a form can be answered without the pipeline's answer, and that a judge gives one label."""
    path, name = (("judge",), "judge") if spec.queue.blind is None else (("queue", "blind"), "queue.blind")
    if spec.asks_blind and config.verdict is not None:
        what = f"{name}: the form asks whether the pipeline's answer is correct, which shows that answer"
        yield document.error(path, f"{what}: let it ask for the label, by correction in `fields` or in labels.xml")
    if spec.judge is not None and (config.kind is not Kind.LABEL or not spec.labels):
        answer = "a free text" if config.kind is Kind.LABEL else config.kind.words
        yield document.error(("judge",), f"judge: a judge gives one label, and the answer is {answer}")
    if spec.judge is None:
        return
    if not spec.holdout and not spec.audit and not spec.queue.control:
        yield document.error(
            ("judge",),
            "judge: only answers that chance chose certify a judge, and no lane draws any: set holdout, audit or "
            "queue.control above 0",
        )
    if spec.queue.blind == 0:
        yield document.error(
            ("queue", "blind"),
            "queue.blind: only blind answers certify a judge, and 0 gives none. Take a share above 0, or leave it out: "
            "then every task that chance chose is blind",
        )
