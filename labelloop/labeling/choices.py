"""Choices: the labels that a control of the form offers, and other words for them."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from labelloop.errors import SpecError
from labelloop.labeling.form_xml import Places

PATH = " / "
"""Separator of the steps in a label of a Taxonomy or of nested Choices."""


def fault(message: str, places: Places, element: Element) -> SpecError:
    """Return an error of labels.xml at the place of this tag."""
    line, column = places[element]
    return SpecError(f"labels.xml: {message}", line=line, column=column)


def choices_of(element: Element, places: Places) -> list[tuple[str, Element]]:
    """Return the labels that a control offers, each with its tag; a step of a path comes before the steps below it."""
    if element.tag == "Taxonomy" or (element.tag == "Choices" and element.get("allowNested") == "true"):
        return _paths(element, places)
    tags = element.iter("Label" if element.tag.endswith("Labels") else "Choice")
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


def other_words(choices: Sequence[tuple[str, Element]], places: Places) -> dict[str, str]:
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
