"""LabelingConfig: Label Studio's labels.xml as far as we read it, and the form that we generate where there is none.

The control that holds the answer is the one of a tag in KINDS that is named `label` or `correction`, else the only
Choices there is, else the only one of the next tag; a TextArea must be named so. A Choices named `verdict` with approve
and reject makes the answer a correction: it counts on a reject only. A TextArea named `comment` holds the comment. What
is asked of a region (`perRegion`) is no answer about the item.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from xml.etree.ElementTree import Element

from labelloop.errors import SpecError
from labelloop.labeling.form_xml import OURS, Places, fields_in, fields_of, read_xml
from labelloop.reading.addresses import PICTURE, address_values

APPROVE, REJECT = "approve", "reject"
SHOWN_LABEL = OURS + "label"
"""The field of a task's data that holds the label of the pipeline's model, for people to see."""
SHOWN_WHY = OURS + "why"
"""The field that says in one line why the item is asked."""
SHOWN_BEST = OURS + "best"
"""The field that holds the likeliest labels of an item, the likeliest first, as choices."""
_LABEL_NAMES = ("label", "correction")
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


@dataclass(frozen=True, slots=True)
class LabelingConfig:
    xml: str
    controls: tuple[ControlTag, ...]
    answer: ControlTag
    """Holds the label; the same as `correction` where there is a verdict."""
    verdict: ControlTag | None
    correction: ControlTag | None
    comment: ControlTag | None
    quick: ControlTag | None
    """The likeliest few of the answer's labels once more, by a field of the task; chosen there, it is the answer."""
    data_fields: tuple[str, ...]
    """Fields of `data` that annotators see, in the order of the page; our own (`labelloop_...`) are left out."""
    text_field: str | None = None
    """The field whose text spans are marked in; None where the answer is none."""
    addresses: tuple[str, ...] = ()
    """Fields of `data` that hold the address of a picture, a sound or a file (labelloop/reading/addresses.py)."""
    pictures: tuple[str, ...] = ()
    """Those of them that an Image shows."""

    @property
    def kind(self) -> Kind:
        return self.answer.kind

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels there are; empty where the label is free text, comes with the task, or is only approved."""
        return () if self.answer is self.verdict else self.answer.labels

    @staticmethod
    def parse(xml: str) -> LabelingConfig:
        """Read a labeling config; raises SpecError with line and column. Label Studio's own checks are not repeated."""
        return _parse(xml)


@lru_cache(maxsize=64)
def _parse(xml: str) -> LabelingConfig:
    root, places = read_xml(xml)
    objects: dict[str, Element] = {}
    controls: dict[str, ControlTag] = {}
    fields: dict[str, None] = {}
    addresses: dict[str, bool] = {}
    for element in root.iter():
        fields.update(dict.fromkeys(f for f in fields_of(element) if not f.startswith(OURS)))
        for value in address_values(element.tag, element.attrib):
            addresses.update(dict.fromkeys(fields_in(value, named="name" in element.attrib), element.tag == PICTURE))
        name = element.get("name")
        if not name or element.tag == "Style":
            continue
        if name in objects or name in controls:
            raise fault(f"two tags are named {name!r}", places, element)
        if element.get("toName") is None:
            objects[name] = element
        else:
            controls[name] = _control(element, places)
    by_name = {element.get("name"): element for element in root.iter()}
    for element in root.iter():
        about = element.get("toName")
        for to_name in () if about is None else about.split(","):
            if to_name not in objects and to_name not in controls:
                raise fault(
                    f"{element.get('name')!r} has toName {to_name!r}; there are: {', '.join(objects)}", places, element
                )
    verdict = controls.get("verdict")
    if verdict is not None and (verdict.tag != "Choices" or set(verdict.labels) != {APPROVE, REJECT}):
        raise fault(
            f"the control named verdict must be a Choices of {APPROVE} and {REJECT}", places, by_name[verdict.name]
        )
    comment = controls.get("comment")
    quick = next((c for c in controls.values() if (c.name, c.tag, c.labels) == ("quick", "Choices", ())), None)
    answer = _answer(controls.values(), places, by_name)
    if answer is None and verdict is not None:
        answer = verdict  # people only say whether the model was right
    if answer is None:
        raise _no_answer(controls.values(), places, by_name, root)
    text = None if answer.kind is not Kind.SPANS else _text(answer, objects, places, by_name)
    return LabelingConfig(
        xml=xml,
        controls=tuple(controls.values()),
        answer=answer,
        verdict=verdict,
        correction=answer if verdict is not None and answer is not verdict else None,
        comment=comment if comment is not None and comment.tag == "TextArea" else None,
        quick=None if quick is None or quick is answer else replace(quick, labels=answer.labels),
        data_fields=tuple(fields),
        text_field=text,
        addresses=tuple(addresses),
        pictures=tuple(field for field, is_picture in addresses.items() if is_picture),
    )


def fault(message: str, places: Places, element: Element) -> SpecError:
    """A fault of labels.xml at the place of this tag."""
    line, column = places[element]
    return SpecError(f"labels.xml: {message}", line=line, column=column)


def _control(element: Element, places: Places) -> ControlTag:
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


def _answer(controls: Iterable[ControlTag], places: Places, by_name: Mapping[str | None, Element]) -> ControlTag | None:
    found = [c for c in controls if c.tag in KINDS and c.name != "verdict" and not c.per_region]
    for control in found:
        if control.name in _LABEL_NAMES and control.tag != "TextArea":
            return control
    for tag in KINDS:
        of_tag = [c for c in found if c.tag == tag]
        if tag == "TextArea":
            return next((c for c in of_tag if c.name in _LABEL_NAMES), None)
        if len(of_tag) > 1:
            names = ", ".join(repr(c.name) for c in of_tag)
            raise fault(
                f"several {tag} ({names}); name the one that holds the label `label`", places, by_name[of_tag[1].name]
            )
        if of_tag:
            return of_tag[0]
    return None


def _no_answer(
    controls: Iterable[ControlTag], places: Places, by_name: Mapping[str | None, Element], root: Element
) -> SpecError:
    """What keeps the first control from holding the answer."""
    control = next(iter(controls), None)
    wanted = f"the answer is read from one {_words(KINDS)}"
    if control is None:
        return fault(f"no control, that is, no tag with name and toName; {wanted}", places, root)
    if control.tag not in KINDS:
        why = f"{control.tag} is no control whose answers labelloop reads: {wanted}"
    elif control.per_region:
        why = f"{control.tag} {control.name!r} asks about regions (perRegion); {wanted}, which asks about the item"
    else:
        why = f"{control.tag} {control.name!r} holds the label only where it is named {' or '.join(_LABEL_NAMES)}"
    return fault(why, places, by_name[control.name])


def _text(
    answer: ControlTag, objects: Mapping[str, Element], places: Places, by_name: Mapping[str | None, Element]
) -> str:
    """The field of the Text that these Labels stand over."""
    over = objects.get(answer.to_name)
    fields = [] if over is None or over.tag != "Text" else fields_of(over)
    if len(fields) != 1:
        what = answer.to_name if over is None else f"{over.tag} {answer.to_name}"
        raise fault(
            f"Labels {answer.name!r} stands over {what}; spans are read over one Text that shows one field "
            "of the data, such as value='$text'",
            places,
            by_name[answer.name],
        )
    return fields[0]


def _words(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"
