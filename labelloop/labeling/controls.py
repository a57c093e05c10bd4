"""Controls: the tags of labels.xml that people answer with, and the kinds of answer that they give."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from xml.etree.ElementTree import Element

from labelloop.errors import SpecError
from labelloop.labeling.form_xml import Places

PATH = " / "
"""Separator of the steps in a label of a Taxonomy or of nested Choices."""


class Kind(StrEnum):
    """Kind of an answer; labelloop/labeling/structured.py defines how each kind is written as a text."""

    LABEL = "label"
    LABELS = "labels"
    """Any number of labels at once, including none."""
    SPANS = "spans"
    """Spans of a text: the start and end of each, and its label."""
    NUMBER = "number"

    @property
    def words(self) -> str:
        return {"label": "one label", "labels": "several labels", "spans": "spans", "number": "a number"}[self]


KINDS = {
    "Choices": Kind.LABEL,
    "Labels": Kind.SPANS,
    "Taxonomy": Kind.LABELS,
    "Number": Kind.NUMBER,
    "Rating": Kind.NUMBER,
    "TextArea": Kind.LABEL,
}
"""Kind of answer by control tag, in the order in which a form is searched for the answer."""


@dataclass(frozen=True, slots=True)
class ControlTag:
    """A tag of the form that people answer with."""

    tag: str
    """Name of the tag, such as Choices or TextArea."""
    name: str
    """`from_name` in a result."""
    to_name: str
    """`toName` in the form: the objects that it is about, separated by commas."""
    labels: tuple[str, ...] = ()
    """Labels that can be chosen, as results hold them; empty for free text and numbers.

    A choice with an alias is held by its alias. A choice of a Taxonomy or of nested Choices is held by its path, joined
    by PATH.
    """
    nested: bool = False
    """Whether it is a Choices with allowNested: results hold the path of each choice, as a list."""
    choice: str = "single"
    required: bool = False
    per_region: bool = False
    low: float | None = None
    high: float | None = None
    """Bounds of a number, both included; None if there is no bound."""
    step: float | None = None
    """Step between allowed numbers, counted from `low` (from 0 without it); None if any number between the bounds is
    allowed.
    """
    predicted: Mapping[str, str] = field(default_factory=dict)
    """Label by other words for it; empty for a Taxonomy.

    The words are `predicted_values`, and the value of a choice that has an alias. In nested Choices they are also the
    last step of a path, if no other path ends in it.
    """
    known: frozenset[str] = field(init=False, repr=False, compare=False)
    """The labels as a set."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", frozenset(self.labels))

    @property
    def objects(self) -> tuple[str, ...]:
        """Names of the objects that it is about. A region of a result names one of them."""
        return tuple(self.to_name.split(","))

    @property
    def kind(self) -> Kind:
        several = self.tag == "Choices" and self.choice.startswith("multiple")
        return Kind.LABELS if several else KINDS.get(self.tag, Kind.LABEL)

    def shown(self, word: str) -> str:
        """Return the label for a word that a model predicted; a word that the form does not know is
        returned as it is.
        """
        return word if word in self.known else self.predicted.get(word, word)


def fault(message: str, places: Places, element: Element) -> SpecError:
    """Return an error of labels.xml at the place of this tag."""
    line, column = places[element]
    return SpecError(f"labels.xml: {message}", line=line, column=column)


def read_control(element: Element, places: Places) -> ControlTag:
    tag, name = element.tag, element.get("name", "")
    low, high, step = (_number(element, attribute, places) for attribute in ("min", "max", "step"))
    if tag == "Rating":
        low, high, step = 1.0, _number(element, "maxRating", places) or 5.0, 1.0
    if low is not None and high is not None and low >= high:
        raise fault(f"{name!r} takes numbers from {low:g} to {high:g}: that leaves none", places, element)
    choices = choices_of(element, places)
    return ControlTag(
        tag=tag,
        name=name,
        to_name=element.get("toName", ""),
        labels=tuple(label for label, _ in choices),
        nested=tag == "Choices" and element.get("allowNested") == "true",
        choice=element.get("choice", "single"),
        required=element.get("required") == "true",
        per_region=element.get("perRegion") == "true",
        low=low,
        high=high,
        step=step if step and step > 0 else None,
        predicted={} if tag == "Taxonomy" else _predicted(choices, places),
    )


def choices_of(element: Element, places: Places) -> list[tuple[str, Element]]:
    """Return the labels that a control offers, each with its tag; a step of a path comes before the steps below it."""
    if element.tag == "Taxonomy" or (element.tag == "Choices" and element.get("allowNested") == "true"):
        return _paths(element, places)
    tags = element.iter("Label" if element.tag == "Labels" else "Choice")
    return [(label, tag) for tag in tags if (label := _label(tag))]


def _label(choice: Element) -> str | None:
    """Return the label of a choice; None if the choice comes with the data."""
    label = choice.get("alias") or choice.get("value") or ""
    return None if label.startswith("$") else label or None


def _paths(element: Element, places: Places, above: str = "") -> list[tuple[str, Element]]:
    found = []
    for child in element:
        if child.tag != "Choice":  # Choices may be laid out in a View
            found += _paths(child, places, above)
        elif step := _label(child):
            if PATH in step:
                raise fault(f"the choice {step!r} holds {PATH!r}, which separates the steps", places, child)
            found += [(above + step, child), *_paths(child, places, above + step + PATH)]
    return found


def _predicted(choices: Sequence[tuple[str, Element]], places: Places) -> dict[str, str]:
    """Map other words to the labels that they mean. Only `predicted_values` are refused if they mean two labels."""
    explicit: dict[str, str] = {}
    implied: dict[str, set[str]] = {}
    for label, choice in choices:
        for word in filter(None, map(str.strip, choice.get("predicted_values", "").split(","))):
            if explicit.setdefault(word, label) != label:
                raise fault(f"{word!r} is a predicted value of {explicit[word]!r} and of {label!r}", places, choice)
        for word in (choice.get("value", ""), label.rpartition(PATH)[2]):
            implied.setdefault(word, set()).add(label)
    labels = {label for label, _ in choices}
    alone = {word: next(iter(of)) for word, of in implied.items() if len(of) == 1 and word not in labels}
    return {**alone, **explicit}


def _number(element: Element, name: str, places: Places) -> float | None:
    if element.tag not in ("Number", "Rating") or (given := element.get(name)) is None:
        return None
    try:
        bound = float(given)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise fault(f"{name} of {element.get('name')!r} must be a number; it is {given!r}", places, element)
    return bound
