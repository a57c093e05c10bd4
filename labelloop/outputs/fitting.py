"""Check that an output fits its loop: the labels and controls of its form, and the length of its embedding."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from labelloop.errors import InvalidOutput
from labelloop.labeling import kinds
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Kind
from labelloop.labeling.kinds.reading import json_of
from labelloop.labeling.kinds.visible import is_visible
from labelloop.outputs import marking, result, seen
from labelloop.outputs.output import Output
from labelloop.outputs.reading import NO_ANSWER, read_answer
from labelloop.reading import evidence as evidence_
from labelloop.reading import fields, paths, strict_json

_WITHOUT_REGIONS = (Kind.LABEL, Kind.LABELS, Kind.NUMBER, Kind.TEXT, Kind.ORDER, Kind.DATE)


def shown(output: Output, config: LabelingConfig) -> Output:
    """Return the output with the form's labels in place of other words for them (`predicted_values`); their
    probabilities are added.
    """
    if not config.answer.predicted:
        return output
    to_label = config.answer.shown
    probabilities: dict[str, float] | None = None
    if output.probabilities is not None:
        probabilities = {}
        for given, share in output.probabilities.items():
            probabilities[to_label(given)] = min(1.0, probabilities.get(to_label(given), 0.0) + share)
    # `check` reads the labels of a structured answer.
    plain = config.kind is Kind.LABEL
    answers = (str(given) if plain and type(given) is int else given for given in (output.label, output.gold))
    label, gold = (to_label(given) if isinstance(given, str) else given for given in answers)
    return replace(output, probabilities=probabilities, label=label, gold=gold)


def check(
    output: Output, config: LabelingConfig, labels: Collection[str], embedding: int = 0, *, predicted: bool = True
) -> Output:
    """Return the output with its answers in the form of the tables. Raises InvalidOutput if it does not fit this loop.

    It must have the fields that people see, the loop's labels and controls, the loop's kind of answer, and an embedding
    of the loop's length (`embedding`; 0 for no embedding). `predicted` as in reading.from_json.
    """
    check_data(output.data, config)
    seen.check(output.data, config)
    if labels:
        for label in output.probabilities or ():
            if label not in labels:
                raise InvalidOutput(f"probabilities.{label}", result.no_label(label, labels))
        for path, label in () if output.evidence is None else evidence_.labels(output.evidence):
            if label not in labels:
                raise InvalidOutput(path, result.no_label(label, labels))
    _check_evidence(output, config)
    _check_width(output.embedding, embedding)
    result.check(output.result or (), config)
    marking.check(output.result or (), config, output.data)
    if config.kind is not Kind.LABEL:
        return _structured(output, config)
    if predicted and output.probabilities is None and output.label is None and output.result is None:
        raise InvalidOutput("label", NO_ANSWER)
    if output.label is None and output.gold is None:
        return output
    return replace(output, label=_label("label", output.label, labels), gold=_label("gold", output.gold, labels))


def check_complete(name: str, answer: str, config: LabelingConfig) -> None:
    """Raise InvalidOutput, with the control, if a person could not submit this answer: the form requires more.

    `answer` is one of `answer`, of the path `name`. A prelabel may be partial.
    """
    control = config.answer
    if control.kind is not Kind.FORM:
        if control.required and answer == "[]":
            raise InvalidOutput(name, f"is empty; {control.words} is required")
        return
    given, parts = kinds.form.read(answer), {part.name: part for part in control.parts}
    for part in control.parts:
        if part.required and part.name not in given and is_visible(part, parts, given):
            raise InvalidOutput(f"{name}.{part.name}", f"is missing; {part.words} is required in the form")


def check_data(data: Mapping[str, Any], config: LabelingConfig) -> None:
    """Raise InvalidOutput, with the path, unless this data of an item has every field that the form shows."""
    for name in config.data_fields:
        # As Label Studio's server checks a task: it does not check the length of a list.
        upper, bracket, _ = name.partition("[")
        found = paths.below(data, upper) if "." in upper else data.get(upper)
        if found is None:
            is_null = "." not in upper and upper in data
            shows = f"the labeling config shows {'it' if name == upper else f'${name}'}"
            hint = ""
            if is_null:
                give = "an address" if upper in config.addresses else 'a value ("" for no text)'
                hint = f". Give {give}, or do not send this output"
            raise InvalidOutput(f"data.{upper}", f"is {'null' if is_null else 'missing'}; {shows}{hint}")
        if bracket and not isinstance(found, list):
            raise InvalidOutput(f"data.{upper}", f"must be a list; the labeling config shows ${name}")


def _label(name: str, given: object, labels: Collection[str]) -> str | None:
    """Return one label as a text. Raises InvalidOutput if the loop has no such label; a loop without labels accepts
    any.
    """
    if given is None:
        return None
    label = fields.word(name, _as_text(given, labels), empty=False)
    if label not in (labels or (label,)):
        raise InvalidOutput(name, result.no_label(label, labels))
    return label


def _as_text(label: object, labels: Collection[str]) -> object:
    """Return an integer or a boolean as the label that it is written as: 3 as "3", true as "True" or "true"."""
    if isinstance(label, bool):
        return "true" if "true" in labels and "True" not in labels else str(label)
    return str(label) if isinstance(label, int) else label


def _structured(output: Output, config: LabelingConfig) -> Output:
    """Return the output of a loop whose answers are not single labels, each answer in the form of the tables."""
    if output.probabilities is not None:
        instead = "evidence.labels" if config.kind is Kind.LABELS else "label with confidence, or result with score"
        raise InvalidOutput(
            "probabilities", f"are for one label, and the answer here is {config.kind.words}: send {instead}"
        )
    label, gold = (_fitting(n, getattr(output, n), output.data, config) for n in ("label", "gold"))
    return replace(output, label=label, gold=gold)


def answer(
    name: str, given: object, data: Mapping[str, Any], config: LabelingConfig, labels: Collection[str]
) -> str | None:
    """Return an answer about an item with this data in the form of the tables; None if none is given.

    Raises InvalidOutput with the path `name` if the loop has no such answer.
    """
    item = shown(Output(key="", data=data, gold=read_answer(name, given)), config)
    if config.kind is Kind.LABEL:
        return _label(name, item.gold, labels)
    return _fitting(name, item.gold, data, config)


def _fitting(name: str, given: Any, data: Mapping[str, Any], config: LabelingConfig) -> str | None:
    """Return an answer in the form of the tables.

    Raises InvalidOutput if the form cannot give it, or if it cannot be about an item with this data, such as a span
    that ends after the text.
    """
    if given is None:
        return None
    if isinstance(given, list) and config.kind is Kind.LABELS:
        given = [_as_text(one, config.labels) for one in given]
    try:
        answer = kinds.canonical(config.answer, given)
        kinds.of(config.answer).fits(config.answer, answer, data)
    except ValueError as exc:
        raise InvalidOutput(name, str(exc)) from None
    return answer


def _check_evidence(output: Output, config: LabelingConfig) -> None:
    """Raise InvalidOutput if the evidence is about a control that is no part of the answer, or about other boxes."""
    evidence = output.evidence
    if not evidence:
        return
    if "boxes" in evidence and config.kind is Kind.REGIONS:
        _check_boxes("evidence.boxes", evidence["boxes"], output.label)
    parts = {part.name: part for part in config.answer.parts or (config.answer,)}
    answers = _answers(output.label) if config.kind is Kind.FORM else {config.answer.name: output.label}
    for name, one in evidence.get("controls", {}).items():
        path, part = f"evidence.controls.{name[: fields.MAX_WORD]}", parts.get(name)
        if part is None:
            raise InvalidOutput(path, f"no such control is part of the answer; there are: {', '.join(parts)}")
        if isinstance(one, dict) and "boxes" in one:
            if part.kind in _WITHOUT_REGIONS:
                raise InvalidOutput(
                    f"{path}.boxes", f"are confidences of regions; {part.words} asks for {part.kind.words}"
                )
            if part.kind is Kind.REGIONS:
                _check_boxes(f"{path}.boxes", one["boxes"], answers.get(name))


def _answers(label: object) -> Mapping[str, Any]:
    try:
        return kinds.form.read(label)
    except ValueError:
        return {}  # refused with its own reason


def _check_boxes(path: str, boxes: Sequence[float], label: object) -> None:
    """Raise InvalidOutput unless there is a confidence for each region of the label, or none at all."""
    try:
        regions = json_of(label)
    except ValueError:
        return  # refused with its own reason
    if not isinstance(regions, list) or len(boxes) in (0, len(regions)):
        return
    places = {strict_json.dumps({**one, "label": None}) if isinstance(one, dict) else "" for one in regions}
    if len(boxes) != len(places):  # a box may have several labels
        raise InvalidOutput(
            path, f"has {_n(len(boxes), 'confidence')}, and the label {_n(len(regions), 'region')}; give one for each"
        )


def _n(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _check_width(embedding: Sequence[float] | None, width: int) -> None:
    if len(embedding or ()) == width:
        return
    wants = "this loop takes no embedding (queue.embedding is 0)"
    if width:
        wants = f"this loop's embeddings have {width} (queue.embedding)"
    raise InvalidOutput(
        "embedding", f"{'is missing' if embedding is None else f'has {len(embedding)} numbers'}; {wants}"
    )
