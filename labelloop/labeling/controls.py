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
"""Between the steps of a label of a Taxonomy, and of Choices that are nested."""


class Kind(StrEnum):
    """What an answer is; labelloop/labeling/structured.py says how each is written as a text."""

    LABEL = "label"
    LABELS = "labels"
    """Any number of labels at once, none included."""
    SPANS = "spans"
    """Of a text: where each begins and ends, and its label."""
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
"""The tags that an answer is read from, in the order in which they are looked for."""


@dataclass(frozen=True, slots=True)
class ControlTag:
    """A tag that people answer with."""

    tag: str
    """Choices, TextArea, ..."""
    name: str
    """`from_name` in a result."""
    to_name: str
    """What it is about, as the form says it; several names are parted by commas."""
    labels: tuple[str, ...] = ()
    """What can be chosen, as results hold it (the alias where a choice has one; in a Taxonomy and in nested Choices the
    path, joined by PATH); empty for free text and numbers.
    """
    nested: bool = False
    """Choices with allowNested: results hold the path of each choice, as a list."""
    choice: str = "single"
    required: bool = False
    per_region: bool = False
    low: float | None = None
    high: float | None = None
    """The bounds of a number, both included; None: there is none."""
    step: float | None = None
    """Numbers go up from `low` (from 0, where there is none) by this; None: any between the bounds."""
    predicted: Mapping[str, str] = field(default_factory=dict)
    """Other words for a label -> the label: `predicted_values`, the value of a choice that has an alias, and in nested
    Choices the last step of a path that no other path ends in. None in a Taxonomy.
    """
    known: frozenset[str] = field(init=False, repr=False, compare=False)
    """The labels as a set."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", frozenset(self.labels))

    @property
    def objects(self) -> tuple[str, ...]:
        """The names of what it is about. A region of a result names one of them."""
        return tuple(self.to_name.split(","))

    @property
    def kind(self) -> Kind:
        several = self.tag == "Choices" and self.choice.startswith("multiple")
        return Kind.LABELS if several else KINDS.get(self.tag, Kind.LABEL)

    def shown(self, said: str) -> str:
        """The label that stands for what a model said; what the form does not know stays as it is."""
        return said if said in self.known else self.predicted.get(said, said)


def fault(message: str, places: Places, element: Element) -> SpecError:
    """A fault of labels.xml at the place of this tag."""
    line, column = places[element]
    return SpecError(f"labels.xml: {message}", line=line, column=column)


def read_control(element: Element, places: Places) -> ControlTag:
    tag, name = element.tag, element.get("name", "")
    low, high, step = (_number(element, attribute, places) for attribute in ("min", "max", "step"))
    if tag == "Rating":
        low, high, step = 1.0, _number(element, "maxRating", places) or 5.0, 1.0
    if low is not None and high is not None and low >= high:
        raise fault(f"{name!r} takes numbers from {low:g} to {high:g}: there are none", places, element)
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
    """The labels that a control offers, each with its tag; of a path each step before those below it."""
    if element.tag == "Taxonomy" or (element.tag == "Choices" and element.get("allowNested") == "true"):
        return _paths(element, places)
    tags = element.iter("Label" if element.tag == "Labels" else "Choice")
    return [(label, tag) for tag in tags if (label := _label(tag))]


def _label(choice: Element) -> str | None:
    """None of a choice that comes with the data."""
    label = choice.get("alias") or choice.get("value") or ""
    return None if label.startswith("$") else label or None


def _paths(element: Element, places: Places, above: str = "") -> list[tuple[str, Element]]:
    found = []
    for child in element:
        if child.tag != "Choice":  # Choices may be laid out in a View
            found += _paths(child, places, above)
        elif step := _label(child):
            if PATH in step:
                raise fault(f"the choice {step!r} holds {PATH!r}, which parts the steps", places, child)
            found += [(above + step, child), *_paths(child, places, above + step + PATH)]
    return found


def _predicted(choices: Sequence[tuple[str, Element]], places: Places) -> dict[str, str]:
    """Other words -> the label that they stand for. Only words in `predicted_values` may not stand for two."""
    said: dict[str, str] = {}
    implied: dict[str, set[str]] = {}
    for label, choice in choices:
        for word in filter(None, map(str.strip, choice.get("predicted_values", "").split(","))):
            if said.setdefault(word, label) != label:
                raise fault(f"{word!r} is a predicted value of {said[word]!r} and of {label!r}", places, choice)
        for word in (choice.get("value", ""), label.rpartition(PATH)[2]):
            implied.setdefault(word, set()).add(label)
    labels = {label for label, _ in choices}
    alone = {word: next(iter(of)) for word, of in implied.items() if len(of) == 1 and word not in labels}
    return {**alone, **said}


def _number(element: Element, name: str, places: Places) -> float | None:
    if element.tag not in ("Number", "Rating") or (said := element.get(name)) is None:
        return None
    try:
        bound = float(said)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise fault(f"{name} of {element.get('name')!r} must be a number; it is {said!r}", places, element)
    return bound
