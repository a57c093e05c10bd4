"""Several controls: the regions of each, beside one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labelloop.labeling import results
from labelloop.labeling.controls import ControlTag, Kind
from labelloop.labeling.kinds import form
from labelloop.labeling.kinds.visible import is_visible


def encode(control: ControlTag, answer: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in control.parts:
        one = form.part_of(part, answer)
        if one is not None and part.kind is not Kind.RELATIONS:
            found += results.regions_of(part, one)
    for part in control.parts:  # their ends are among the regions of the others
        one = form.part_of(part, answer)
        if one is not None and part.kind is Kind.RELATIONS:
            found += results.relations.between(part, one, found)
    return found


def decode(control: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the answers by control; None if there are none, or if people saw a required control and left it out.

    Raises ValueError with the name of the control if one of them cannot be read.
    """
    parts = {part.name: part for part in control.parts}
    answers = {name: answer_in(part, results.of_control(part, regions)) for name, part in parts.items()}
    given = {name: form.as_value(parts[name], one) for name, one in answers.items() if one is not None}
    for name, part in parts.items():
        if part.required and name not in given and is_visible(part, parts, given):
            raise ValueError(f"{name}: nothing was given")
    empty = form.empty_is_an_answer(control)
    return form.canonical(control, given) if given or empty else None


def answer_in(part: ControlTag, regions: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the answer of one control in its regions; None without regions.

    Raises ValueError with the name of the control if it cannot be read.
    """
    if not regions:
        return None
    try:
        answer = results.decoded(part, regions)
    except ValueError as exc:
        raise ValueError(f"{part.name}: {exc}") from None
    if answer is None and not _is_blank(regions):
        raise ValueError(f"{part.name}: it is none of the values that this control can give")
    return answer


def _is_blank(regions: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the regions hold nothing, as the editor may leave them after people took a choice or a text back."""
    return all(_holds_nothing(_content(region)) for region in regions)


def _content(region: Mapping[str, Any]) -> Any:
    """Return what a region of a control about the whole item holds: its value is named like its type."""
    value, kind = region.get("value"), region.get("type")
    return value.get("text" if kind == "textarea" else str(kind)) if isinstance(value, dict) else None


def _holds_nothing(content: Any) -> bool:
    if isinstance(content, list):
        return all(map(_holds_nothing, content))
    return content is None or (isinstance(content, str) and not content.strip())
