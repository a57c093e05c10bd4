"""Answers to several controls: a JSON object by control name, {"boxes":[...],"topic":"late"}. Pure.

Each answer is a JSON value: a label, a text and a date are texts, a number is a number, every other kind writes JSON
anyway. A control without an answer is absent.

Consensus: each control by its own kind. More than half must have answered a control, or more than half not; a tie in
one control is a tie of the whole. Agreement and item score are the means over the controls, where two people who both
left a control out agree about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling import kinds
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds.reading import json_of
from labelloop.reading import strict_json

_AS_TEXT = (Kind.LABEL, Kind.TEXT, Kind.DATE)


def read(answer: object) -> dict[str, Any]:
    """Return the answers by control name. Raises ValueError if it is not an object."""
    found = json_of(answer)
    if not isinstance(found, dict):
        raise ValueError('must be an object by control name, such as {"topic": "late"}')
    return found


def part_of(control: ControlTag, answer: object) -> str | None:
    """Return the answer to one control of a form as its own text; None if the form's answer has none."""
    value = read(answer).get(control.name)
    return None if value is None else kinds.canonical(control, value)


def checked(parts: Sequence[ControlTag], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers in their canonical form. Raises ValueError with the control's name and the reason."""
    there = {part.name: part for part in parts}
    found = {}
    for name, value in answers.items():
        if name not in there:
            raise ValueError(f"no control {name[:40]!r} is part of the answer; there are: {', '.join(there) or 'none'}")
        if value is None:
            continue
        try:
            found[name] = as_value(there[name], kinds.canonical(there[name], value))
        except ValueError as exc:
            raise ValueError(f"{name}: {exc}") from None
    return found


def as_value(control: ControlTag, answer: str) -> Any:
    """Return the answer to one control as the JSON value that a form's answer holds."""
    return answer if control.kind in _AS_TEXT else json_of(answer)


def canonical(control: ControlTag, answer: object) -> str:
    found = checked(control.parts, read(answer))
    if not found:
        raise ValueError("no control has an answer")
    return strict_json.dumps(found)


def nearest(control: ControlTag, answer: str) -> str:
    given, found = read(answer), {}
    for part in control.parts:
        value = given.get(part.name)
        one = None if value is None else kinds.nearest_answer(part, kinds.as_text(value) or "")
        if one is not None:
            found[part.name] = as_value(part, one)
    if not found:
        raise ValueError("no control has an answer")
    return strict_json.dumps(found)


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    found, agreement = agreed_parts(control.parts, [read(answer) for answer in answers], tolerance)
    return (None, 0.0) if not found else (strict_json.dumps(found), agreement)


def agreed_parts(
    parts: Sequence[ControlTag], answers: Sequence[Mapping[str, Any]], tolerance: float | None
) -> tuple[dict[str, Any] | None, float]:
    """Return what people agree on by control, and the sum of each person's agreement; None for a tie in one control.

    `answers`: the answers of each person by control name.
    """
    found, total = {}, 0.0
    for part in parts:
        given = [kinds.canonical(part, one[part.name]) for one in answers if one.get(part.name) is not None]
        absent = len(answers) - len(given)
        if absent * 2 > len(answers):
            total += absent
        elif absent * 2 == len(answers):
            return None, 0.0
        else:
            answer, agreement = kinds.of(part).agreed(part, given, tolerance)
            if answer is None:
                return None, 0.0
            found[part.name] = as_value(part, answer)
            total += agreement
    return found, total / len(parts) if parts else 0.0


def score(control: ControlTag, answer: str, predicted: str) -> float:
    """Return the mean item score of the controls that one of the two answers."""
    scores = list(scores_by_part(control, answer, predicted).values())
    return sum(scores) / len(scores) if scores else 1.0


def scores_by_part(control: ControlTag, answer: str, predicted: str) -> dict[str, float]:
    """Return the item score of each control that one of the two answers, by control name."""
    found = {}
    for part in control.parts:
        right, given = part_of(part, answer), part_of(part, predicted)
        if right is None and given is None:
            continue
        found[part.name] = 0.0 if right is None or given is None else kinds.of(part).score(part, right, given)
    return found


def measures(control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
    """Return the item score of each control, and its own measures as `control.measure`."""
    found = dict(scores_by_part(control, answer, predicted))
    for part in control.parts:
        right, given = part_of(part, answer), part_of(part, predicted)
        if right is not None and given is not None:
            more = kinds.of(part).measures(part, right, given)
            found |= {f"{part.name}.{name}": value for name, value in more.items()}
    return found


def labels_in(control: ControlTag, answer: str) -> tuple[str, ...]:
    texts = [(part, part_of(part, answer)) for part in control.parts]
    return tuple(sorted({label for part, one in texts if one for label in kinds.of(part).labels_in(part, one)}))


def fits(control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
    for part in control.parts:
        if (one := part_of(part, answer)) is not None:
            try:
                kinds.of(part).fits(part, one, data)
            except ValueError as exc:
                raise ValueError(f"{part.name}: {exc}") from None
