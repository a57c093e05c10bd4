"""Answers that nobody can read: why, in plain words, and whether asking another person would help; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import PATH, ControlTag, Kind
from labelloop.labeling.results import CODECS, Reading, read

MOST_ASKED = 2
"""An item whose answers cannot be read is asked of at most this many people more than the loop asks."""
NAMELESS = "its author was deleted in Label Studio before the answer was pulled, so nobody can be named for it"
_CONTENT = ("choices", "labels", "taxonomy", "number", "rating", "text")
"""Where the value of a region holds what the person gave."""
_LONGEST = 60


class Unreadable(NamedTuple):
    """Why an answer cannot be read."""

    reason: str
    """What was given, and in which control."""
    ask: bool
    """Another person, asked with the same form, can do better. False: the form or the annotation must be mended."""


def why_unreadable(config: LabelingConfig, result: object, reading: Reading) -> Unreadable | None:
    """Why `result`, which was read as `reading`, is no answer; None if it is one.

    An answer has a label. The one exception is a reject where the form does not insist on a correction.
    """
    regions = [region for region in result if isinstance(region, dict)] if isinstance(result, list) else []
    foreign = _foreign(config, regions)
    if reading.label is not None:
        # No region is an answer where nothing may be marked; but not if the answer is there under another name.
        given_in = _given_in(config, config.answer, regions)
        return foreign if not _regions(given_in, regions) and config.verdict is None else None
    if config.verdict is None:
        return _why(_given_in(config, config.answer, regions), regions, foreign)
    if reading.approval is None:
        return _why(config.verdict, regions, foreign)
    if reading.approval:
        return Unreadable("the model's label was approved, and the pipeline's output has none", ask=False)
    correction = config.correction
    if correction is None:
        return None
    correction = _given_in(config, correction, regions)
    if not correction.required and not _regions(correction, regions):
        return None
    return _why(correction, regions, foreign)


def empty_is_an_answer(config: LabelingConfig) -> bool:
    """Whether a submit with nothing in it says something: no label, or no span."""
    return read(config, [], None).label is not None


def _given_in(config: LabelingConfig, control: ControlTag, regions: Iterable[dict[str, Any]]) -> ControlTag:
    """The control that the answer was given in: the likeliest few labels stand apart from the others."""
    quick = config.quick
    return quick if quick is not None and not _regions(control, regions) and _regions(quick, regions) else control


def _why(control: ControlTag, regions: list[dict[str, Any]], foreign: Unreadable | None) -> Unreadable:
    where = f"{control.tag} {control.name!r}"
    values = [value for region in _regions(control, regions) if isinstance(value := region.get("value"), dict)]
    given = [word for value in values for word in _given(value)]
    if not given:
        return foreign or Unreadable(f"{where}: nothing was given", ask=True)
    unknown = [word for word in given if control.labels and control.shown(word) not in control.labels]
    if unknown:
        return Unreadable(f"{where}: {_quoted(unknown)} was given, and labels.xml has no such label", ask=False)
    if control.kind is Kind.LABEL and len(given) > 1:
        return Unreadable(f"{where}: {len(given)} were given ({_quoted(given)}), and one is asked for", ask=True)
    try:
        CODECS[control.tag].decode(control, values)
        fault = "it is none of the values that this control can give"
    except ValueError as exc:
        fault = str(exc)
    return Unreadable(f"{where}: {_quoted(given)} was given; {fault}", ask=control.kind is Kind.NUMBER)


def _foreign(config: LabelingConfig, regions: Iterable[Mapping[str, Any]]) -> Unreadable | None:
    ours = {control.name for control in config.controls}
    names = sorted({name for region in regions if isinstance(name := region.get("from_name"), str)} - ours)
    if not names:
        return None
    return Unreadable(f"it answers with {_quoted(names)}, and labels.xml has no such control", ask=False)


def _regions(control: ControlTag, regions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [region for region in regions if region.get("from_name") == control.name]


def _given(value: Mapping[str, Any]) -> list[str]:
    """The words, numbers and paths that a region's value holds, as texts."""
    content = next((value[key] for key in _CONTENT if key in value), None)
    parts = content if isinstance(content, list) else [content]
    texts = [PATH.join(map(str, part)) if isinstance(part, list) else str(part) for part in parts if part is not None]
    return [text for text in texts if text.strip()]


def _quoted(words: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(words))
    shown = ", ".join(repr(word if len(word) <= _LONGEST else word[:_LONGEST] + "...") for word in distinct[:3])
    return shown + (f" and {len(distinct) - 3} more" if len(distinct) > 3 else "")
