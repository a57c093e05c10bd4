"""Answers to several controls: a JSON object by control name, {"boxes":[...],"topic":"late"}. Pure.

Each answer is a JSON value: a label, a text and a date are texts, a number is a number, every other kind writes JSON
anyway. A control without an answer is absent: one that people left out, one where they chose or marked nothing, and one
that a choice hides (kinds/visible.py). No control has an empty list, and the answer is {} if there is nothing at all.

Consensus: each control by its own kind. A person who left out a control with lists gave an empty one. Any other
control has an answer if more than half of the people answered it, and none if less than half did. A tie in one control
is a tie of the whole. The exception is a text that need not be written: at half it counts. Agreement and item score are
the means over the controls, where two people who both left a control out agree about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling import kinds
from labelloop.labeling.controls import MARKING, ControlTag, Kind
from labelloop.labeling.kinds.reading import json_of, value_of
from labelloop.labeling.kinds.visible import is_visible
from labelloop.reading import strict_json

LISTS = MARKING | {Kind.LABELS, Kind.RELATIONS}
"""Kinds of which an empty answer exists, []: nothing is chosen or marked."""
_AS_TEXT = (Kind.LABEL, Kind.TEXT, Kind.DATE)
_NOTHING = "[]"


def read(answer: object) -> dict[str, Any]:
    """Return the answers by control name. Raises ValueError if it is not an object."""
    wanted = 'must be an object by control name, such as {"topic": "late"}'
    found = value_of(answer, wanted)
    if not isinstance(found, dict):
        raise ValueError(wanted)
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
    for name in [name for name in found if there[name].kind is Kind.RELATIONS]:
        if lost := [end for end in kinds.relations.lost_ends(found[name], found, there) if end is not None]:
            raise ValueError(f"{name}: a relation ends at {lost[0][:200]}, which is no region of this answer")
    return _shown(there, {name: value for name, value in found.items() if value not in ([], {})})


def _shown(there: Mapping[str, ControlTag], answers: dict[str, Any]) -> dict[str, Any]:
    """Return the answers without those to controls that a choice hides, and without relations to their regions."""
    shown = {name: value for name, value in answers.items() if is_visible(there[name], there, answers) is not False}
    return _related(there, shown)


def _related(there: Mapping[str, ControlTag], answers: dict[str, Any]) -> dict[str, Any]:
    """Return the answers without the relations that have lost a region."""
    found = dict(answers)
    for name in [name for name in answers if there[name].kind is Kind.RELATIONS]:
        lost = kinds.relations.lost_ends(answers[name], answers, there)
        kept = [one for one, end in zip(found.pop(name), lost, strict=True) if end is None]
        found |= {name: kept} if kept else {}
    return found


def empty_is_an_answer(control: ControlTag) -> bool:
    """Whether nothing at all is an answer to this form: nothing was chosen or marked, and nothing had to be."""
    return any(part.kind in LISTS and not part.required for part in control.parts)


def as_value(control: ControlTag, answer: str) -> Any:
    """Return the answer to one control as the JSON value that a form's answer holds."""
    return answer if control.kind in _AS_TEXT else json_of(answer)


def canonical(control: ControlTag, answer: object) -> str:
    return _written(control, checked(control.parts, read(answer)))


def _written(control: ControlTag, answers: Mapping[str, Any]) -> str:
    if not answers and not empty_is_an_answer(control):
        raise ValueError("no control has an answer")
    return strict_json.dumps(answers)


def nearest(control: ControlTag, answer: str) -> str:
    there, found = {part.name: part for part in control.parts}, {}
    for name, value in read(answer).items():
        one = kinds.nearest_answer(there[name], kinds.as_text(value) or "") if name in there else None
        if one is not None and one != _NOTHING:
            found[name] = as_value(there[name], one)
    return _written(control, _shown(there, found))


def agreed(control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
    found, agreement = agreed_parts(control.parts, [read(answer) for answer in answers], tolerance)
    return (None, 0.0) if found is None else (strict_json.dumps(found), agreement)


def agreed_parts(
    parts: Sequence[ControlTag], answers: Sequence[Mapping[str, Any]], tolerance: float | None
) -> tuple[dict[str, Any] | None, float]:
    """Return what people agree on by control, and the sum of each person's agreement; None for a tie in one control.

    `answers`: the answers of each person by control name.
    """
    found: dict[str, Any] = {}
    total = 0.0
    for part in sorted(parts, key=lambda one: one.kind is Kind.RELATIONS):
        if part.kind is Kind.RELATIONS:  # between the regions that people agree on
            given = [kinds.relations.moved(part, one, found) for one in answers]
        else:
            given = [kinds.canonical(part, one[part.name]) for one in answers if one.get(part.name) is not None]
        absent = len(answers) - len(given)
        if part.kind in LISTS:
            given += [_NOTHING] * absent
        elif absent * 2 > len(answers) or not given:
            total += absent
            continue
        elif absent * 2 == len(answers) and (part.required or part.kind is not Kind.TEXT):
            return None, 0.0
        answer, agreement = kinds.of(part).agreed(part, given, tolerance)
        if answer is None:
            return None, 0.0
        total += agreement
        if answer != _NOTHING:
            found[part.name] = as_value(part, answer)
    return _related({part.name: part for part in parts}, found), total / len(parts) if parts else 0.0


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


def weights(control: ControlTag, answer: str) -> Mapping[str, float]:
    """Return what the measures of each control count in a mean, as its kind says."""
    found = dict[str, float]()
    for part in control.parts:
        own = getattr(kinds.of(part), "weights", None)
        if own is not None and (one := part_of(part, answer)) is not None:
            found |= {f"{part.name}.{name}": value for name, value in own(part, one).items()}
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
