"""Unreadable answers: the reason in plain words, and whether asking another person would help. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from labelloop.labeling import kinds
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import MARKING, PATH, ControlTag, Kind
from labelloop.labeling.results import Reading, decoded, of_control, read
from labelloop.labeling.results.form import answer_in
from labelloop.labeling.results.units import in_characters

MOST_ASKED = 2
"""Largest number of extra people that are asked about an item whose answers cannot be read."""
NAMELESS = "its author was deleted in Label Studio before the answer was pulled, so it has no known author"
DISTRUSTED = "somebody decided that this person's answers do not count"
_CONTENT = ("choices", "labels", "taxonomy", "number", "rating", "text")
"""Keys of a region's value that hold the person's answer; a key such as rectanglelabels does too."""
_MAX_SHOWN = 60


class Unreadable(NamedTuple):
    """Reason why an answer cannot be read."""

    reason: str
    """The given answer and its control."""
    ask: bool
    """True if another person, asked with the same form, could do better. If False, the form or the annotation must be
    corrected.
    """


def why_unreadable(
    config: LabelingConfig, result: object, reading: Reading, data: Mapping[str, Any] | None = None
) -> Unreadable | None:
    """Return the reason why `result`, which was read as `reading`, is not an answer; None if it is one.

    An answer has a label. The one exception is a reject in a form that does not require a correction. `data` are those
    that `result` was read with.
    """
    result = in_characters(config, result, data)
    regions = [region for region in result if isinstance(region, dict)] if isinstance(result, list) else []
    foreign = _foreign(config, regions)
    if reading.label is not None:
        # A result without regions is an answer if marking is optional, but not if the answer is under another name.
        given_in = _given_in(config, config.answer, regions)
        return foreign if not _regions(given_in, regions) and config.verdict is None else None
    if config.verdict is None:
        return _why(_given_in(config, config.answer, regions), regions, foreign, data)
    if reading.approval is None:
        return _why(config.verdict, regions, foreign, data)
    if reading.approval:
        return Unreadable("the model's label was approved, but the pipeline's output has no label", ask=False)
    correction = config.correction
    if correction is None:
        return None
    correction = _given_in(config, correction, regions)
    if not correction.required and not _regions(correction, regions):
        return None
    return _why(correction, regions, foreign, data)


def why_gone(control: ControlTag, label: str) -> Unreadable:
    """Return the reason why an answer with this former label does not count."""
    former = control.gone[label]
    into = _quoted(former.to)
    what = f"was split into {into}" if len(former.to) > 1 else "was retired"
    return Unreadable(f"{control.words}: {label!r} was given, and this label {what} since", ask=former.ask)


def empty_is_an_answer(config: LabelingConfig) -> bool:
    """Whether an empty submit is an answer: no label, or no span."""
    return read(config, [], None).label is not None


def _given_in(config: LabelingConfig, control: ControlTag, regions: Iterable[dict[str, Any]]) -> ControlTag:
    """Return the control with the answer: the most probable labels have a control of their own."""
    quick = config.quick
    return quick if quick is not None and not _regions(control, regions) and _regions(quick, regions) else control


def _why(
    control: ControlTag,
    regions: list[dict[str, Any]],
    foreign: Unreadable | None,
    data: Mapping[str, Any] | None,
) -> Unreadable:
    if control.parts:
        return _why_form(control, regions, foreign, data)
    where, ours, marks = control.words, _regions(control, regions), control.kind in MARKING
    # An answer about a region is no label of it.
    beside = [part.name for part in control.beside]
    values = [region.get("value") for region in ours if region.get("from_name") not in beside]
    given = [word for value in values if isinstance(value, dict) for word in _given(value)]
    if not given and not (marks and ours):
        return foreign or Unreadable(f"{where}: nothing was given", ask=True)
    if gone := [word for word in given if word in control.gone]:
        return why_gone(control, gone[0])
    unknown = [word for word in given if control.labels and control.shown(word) not in control.labels]
    if unknown:
        return Unreadable(f"{where}: {_quoted(unknown)} was given, but labels.xml has no such label", ask=False)
    if control.kind is Kind.LABEL and len(given) > 1:
        return Unreadable(f"{where}: {len(given)} were given ({_quoted(given)}), but the form asks for one", ask=True)
    try:
        decoded(control, ours, data)
        fault = "it is none of the values that this control can give"
    except ValueError as exc:
        fault = str(exc)
    shown = f"{_quoted(given)} was given; " if given else ""
    drawn = marks and control.kind is not Kind.SPANS
    return Unreadable(f"{where}: {shown}{fault}", ask=drawn or control.kind is Kind.NUMBER)


def _why_form(
    form: ControlTag, regions: list[dict[str, Any]], foreign: Unreadable | None, data: Mapping[str, Any] | None
) -> Unreadable:
    """Return the reason of the first control whose answer cannot be read, or that people left out."""
    for part in form.parts:
        ours = of_control(part, regions)
        try:
            answer = answer_in(part, ours)
            if answer is not None and data is not None:
                kinds.of(part).fits(part, answer, data)
        except ValueError:
            return _why(part, regions, None, data)
    try:
        decoded(form, of_control(form, regions), data)
    except ValueError as exc:
        return Unreadable(str(exc), ask=True)
    return foreign or Unreadable(f"{form.words}: nothing was given", ask=True)


def _foreign(config: LabelingConfig, regions: Iterable[Mapping[str, Any]]) -> Unreadable | None:
    ours = {control.name for control in config.controls}
    names = sorted({name for region in regions if isinstance(name := region.get("from_name"), str)} - ours)
    if not names:
        return None
    return Unreadable(f"it answers with {_quoted(names)}, but labels.xml has no such control", ask=False)


def _regions(control: ControlTag, regions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return of_control(control, list(regions))


def _given(value: Mapping[str, Any]) -> list[str]:
    """Return the words, numbers and paths in a region's value, as texts."""
    named = [key for key in value if key.endswith("labels")]
    content = next((value[key] for key in (*named, *_CONTENT) if key in value), None)
    parts = content if isinstance(content, list) else [content]
    texts = [PATH.join(map(str, part)) if isinstance(part, list) else str(part) for part in parts if part is not None]
    return [text for text in texts if text.strip()]


def _quoted(words: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(words))
    shown = ", ".join(repr(word if len(word) <= _MAX_SHOWN else word[:_MAX_SHOWN] + "...") for word in distinct[:3])
    return shown + (f" and {len(distinct) - 3} more" if len(distinct) > 3 else "")
