"""Check that the parts of a loop agree: loop.yaml with labels.xml, and the learner with the kind of answer."""

from __future__ import annotations

import ast

from labelloop.labeling.config import Kind
from labelloop.selection.features import TEXTS
from labelloop.spec import loop_yaml
from labelloop.spec.loop import LEARNERS, OF_ONE_LABEL, LoopSpec
from labelloop.spec.sections import NONE


def check_agreement(document: loop_yaml.Document, spec: LoopSpec) -> None:
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
