"""Conditions: when people see a control of the form. Label Studio's tags hide a View, or a control, until then.

visibleWhen="choice-selected"    something is chosen in the control `whenTagName` (in any one without it), and it is one
                                 of `whenChoiceValue` if that is given
visibleWhen="choice-unselected"  the opposite
any other visibleWhen            it depends on the region that is selected in the editor: nobody knows it later

labelloop/labeling/kinds/visible.py applies them to an answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

SELECTED, UNSELECTED = "choice-selected", "choice-unselected"


@dataclass(frozen=True, slots=True)
class Condition:
    """One `visibleWhen`, of a control or of a View around it."""

    when: str
    control: str = ""
    """Name of the control that decides; "" for any."""
    values: tuple[str, ...] = ()
    """Choices of which one must be chosen; () for any."""


def conditions_of(root: Element) -> dict[Element, tuple[Condition, ...]]:
    """Return the conditions of each tag: those of the Views around it, outermost first, and its own."""
    found: dict[Element, tuple[Condition, ...]] = {}
    left = [(root, tuple[Condition, ...]())]
    while left:
        element, above = left.pop()
        found[element] = (*above, *_own(element))
        left += [(child, found[element]) for child in element]
    return found


def _own(element: Element) -> Iterable[Condition]:
    when, given = element.get("visibleWhen"), element.get("whenChoiceValue") or ""
    if when:
        yield Condition(when, element.get("whenTagName") or "", tuple(filter(None, given.split(","))))
    elif given and element.tag != "Choice":
        yield Condition(SELECTED, "", (given,))  # the editor does not split it then
