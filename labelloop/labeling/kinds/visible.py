"""Visible: whether people see a control of a form, given their answers to the others. Pure.

Label Studio's editor enforces `required` only for controls that are visible at the submit. It leaves out the answer to
a control that a choice hides (read in its source and seen in the editor, 1.23.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelloop.labeling.conditions import SELECTED, UNSELECTED, Condition
from labelloop.labeling.controls import PATH, ControlTag

Parts = Mapping[str, ControlTag]


def is_visible(
    part: ControlTag, parts: Parts, answers: Mapping[str, Any], below: frozenset[str] = frozenset()
) -> bool | None:
    """Return whether people see a control; None if its visibility depends on more than these answers.

    `parts` are the controls by name whose answers are in `answers`. `below` are the controls that wait for this one.
    """
    held = [_holds(condition, parts, answers, below | {part.name}) for condition in part.conditions]
    if False in held:
        return False
    return None if None in held else True


def _holds(condition: Condition, parts: Parts, answers: Mapping[str, Any], below: frozenset[str]) -> bool | None:
    if condition.when not in (SELECTED, UNSELECTED):
        return None
    if condition.control and (condition.control not in parts or condition.control in below):
        return None
    names = [condition.control] if condition.control else [name for name in parts if name not in below]
    if any(_selects(parts[name], condition, parts, answers, below) for name in names):
        return condition.when == SELECTED
    if not condition.control:
        return None  # it may be chosen in a control that is no part of the answer
    return condition.when == UNSELECTED


def _selects(
    control: ControlTag, condition: Condition, parts: Parts, answers: Mapping[str, Any], below: frozenset[str]
) -> bool:
    """Whether the choice is made in a control that is not hidden itself. A choice is named by its value or alias."""
    given = answers.get(control.name)
    labels = [given] if isinstance(given, str) else given
    if not labels or not control.tag.startswith(("Choices", "Taxonomy")) or not isinstance(labels, list):
        return False
    chosen = {str(label).rpartition(PATH)[2] for label in labels} | set(map(str, labels))
    wanted = {word for value in condition.values for word in (value, control.shown(value))}
    return (not wanted or bool(wanted & chosen)) and is_visible(control, parts, answers, below) is not False
