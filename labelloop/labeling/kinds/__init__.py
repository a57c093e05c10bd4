"""Kinds of answers. Each has one file with the same functions, named in `KindOfAnswer`. Pure.

An answer is one text, the form in which tables, learners and gates hold it. It is canonical: equal answers are equal
texts.

one label, a text, a date    the label or the text itself
a number                     its shortest decimal: 4, 3.5
everything else              JSON; the first lines of the kind's file describe it
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol, cast

from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds import (
    date,
    form,
    label,
    labels,
    marks,
    number,
    order,
    other,
    regions,
    relations,
    segments,
    spans,
    text,
    tracks,
)
from labelloop.labeling.kinds.marked import Geometry
from labelloop.labeling.kinds.number import write_number
from labelloop.reading import strict_json

AS_THEMSELVES = (Kind.LABEL, Kind.TEXT, Kind.DATE, Kind.NUMBER)
"""Kinds whose text is the answer itself, and not JSON."""
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""NUL as JSON escapes it, after an even number of backslashes."""


class KindOfAnswer(Protocol):
    """Functions of each module of this folder. All raise ValueError for an answer that they cannot read."""

    def canonical(self, control: ControlTag, answer: object) -> str:
        """Return the canonical text of an answer, from its text or its JSON value.

        Raises ValueError, with the reason, if this control cannot give the answer.
        """

    def nearest(self, control: ControlTag, answer: str) -> str:
        """Return the nearest answer that this control can give. Raises ValueError if there is none."""

    def agreed(self, control: ControlTag, answers: Sequence[str], tolerance: float | None) -> tuple[str | None, float]:
        """Return the answer that people agree on, and the sum of each person's agreement with it (0 to 1 each).

        The answer is None for a tie. `answers` has one answer of each person, at least one; their order does not
        matter.
        """

    def score(self, control: ControlTag, answer: str, predicted: str) -> float:
        """Return the item score: how correct `predicted` is if people agree on `answer`, from 0 to 1 (the same)."""

    def measures(self, control: ControlTag, answer: str, predicted: str) -> Mapping[str, float]:
        """Return further measures for reports, by the field's name for each; empty if the item score says it all."""

    def labels_in(self, control: ControlTag, answer: str) -> tuple[str, ...]:
        """Return the different labels that the answer names, sorted; empty if it has none."""

    def fits(self, control: ControlTag, answer: str, data: Mapping[str, Any]) -> None:
        """Raise ValueError if the answer cannot be one about an item with this data, such as a span beyond the text."""


KINDS_OF_ANSWERS: Mapping[Kind, KindOfAnswer] = {
    kind: cast(KindOfAnswer, module)
    for kind, module in {
        Kind.LABEL: label,
        Kind.LABELS: labels,
        Kind.SPANS: spans,
        Kind.NUMBER: number,
        Kind.TEXT: text,
        Kind.ORDER: order,
        Kind.DATE: date,
        Kind.REGIONS: regions,
        Kind.RELATIONS: relations,
        Kind.SEGMENTS: segments,
        Kind.MARKS: marks,
        Kind.TRACKS: tracks,
        Kind.FORM: form,
    }.items()
}


def of(control: ControlTag) -> KindOfAnswer:
    """Return the module of the control's kind of answer."""
    return KINDS_OF_ANSWERS.get(control.kind, cast(KindOfAnswer, other))


def geometry_of(control: ControlTag) -> Geometry | None:
    """Return what is known about the control's regions; None if its answers are not lists of regions.

    A kind has one geometry for all controls, GEOMETRY, or one by control, `geometry_of`.
    """
    module = of(control)
    by_control: Callable[[ControlTag], Geometry] | None = getattr(module, "geometry_of", None)
    return getattr(module, "GEOMETRY", None) if by_control is None else by_control(control)


def canonical(control: ControlTag, answer: object) -> str:
    """Return the canonical text of an answer, from its text or its JSON value.

    Raises ValueError, with the reason, if this control cannot give the answer.
    """
    return stored(control, of(control).canonical(control, answer))


def stored(control: ControlTag, answer: str) -> str:
    """Return the canonical text. Raises ValueError if it has NUL or half of a surrogate pair: Postgres stores neither.

    Label Studio takes both where its database does.
    """
    if strict_json.UNKEPT.search(answer) or (control.kind not in AS_THEMSELVES and _NUL.search(answer)):
        raise ValueError("holds NUL, or half of a surrogate pair, which cannot be stored")
    return answer


def nearest_answer(control: ControlTag, answer: str) -> str | None:
    """Return the nearest answer that this control can give; None if there is none.

    A number is moved into its bounds and to one of its steps. Labels that the control does not have are left out.
    """
    try:
        return of(control).nearest(control, answer)
    except ValueError:
        return None


def labels_gone(control: ControlTag, answer: str, known: Collection[str]) -> set[str]:
    """Return the labels in a stored answer that the control does not have any more.

    `known`: the control's labels; () if any text is one. A form's parts have labels of their own.
    """
    if not control.parts:
        return set(of(control).labels_in(control, answer)) - set(known) if known else set()
    found, given = set[str](), form.read(answer)
    for part in control.parts:
        if (text := as_text(given.get(part.name))) is not None:
            found |= labels_gone(part, text, part.labels)
    return found


def as_text(answer: object) -> str | None:
    """Return an answer as a text. It may be given as a text, canonical or not, or as its JSON value."""
    if answer is None or isinstance(answer, str):
        return answer
    return write_number(answer) if isinstance(answer, int | float) else strict_json.dumps(answer)
