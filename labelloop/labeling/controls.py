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
    """Kind of an answer; each has a file in labelloop/labeling/kinds that says how it is written as a text."""

    LABEL = "label"
    LABELS = "labels"
    """Any number of labels at once, including none."""
    SPANS = "spans"
    """Spans of a text: the start and end of each, and its label."""
    NUMBER = "number"
    TEXT = "text"
    """A text that people write: a transcription, a translation, a caption."""
    ORDER = "order"
    """Items in an order, or in several ordered lists."""
    DATE = "date"
    """A date, or a date and a time."""
    REGIONS = "regions"
    """Regions of an image: boxes, polygons, ellipses, points, masks."""
    SEGMENTS = "segments"
    """Segments of a sound, a video or a time series: the start and end of each."""
    MARKS = "marks"
    """Spans of an HTML page or a dialogue, and spans of a text that have answers of their own."""
    TRACKS = "tracks"
    """Boxes that move through the frames of a video."""
    RELATIONS = "relations"
    """Relations between regions of the other controls."""
    FORM = "form"
    """Answers to several controls, by the name of each."""
    OTHER = "other"
    """Answer to a control that labelloop does not read: it is kept as Label Studio wrote it."""

    @property
    def words(self) -> str:
        return _WORDS.get(self, self.value)


_WORDS = {
    Kind.LABEL: "one label",
    Kind.LABELS: "several labels",
    Kind.NUMBER: "a number",
    Kind.TEXT: "a text",
    Kind.ORDER: "an order",
    Kind.DATE: "a date",
    Kind.REGIONS: "regions of an image",
    Kind.MARKS: "marked spans",
    Kind.TRACKS: "boxes in a video",
    Kind.FORM: "answers to several controls",
    Kind.OTHER: "an answer that labelloop keeps as it is",
}
SHAPES = ("Rectangle", "Polygon", "Ellipse", "KeyPoint", "Brush", "Bitmask", "Vector")
"""Tags that draw a region on an image. `RectangleLabels` and so on draw one with a label."""
KINDS = {
    "Choices": Kind.LABEL,
    "Labels": Kind.SPANS,
    "Taxonomy": Kind.LABELS,
    "Number": Kind.NUMBER,
    "Rating": Kind.NUMBER,
    "TextArea": Kind.TEXT,
    "Pairwise": Kind.LABEL,
    "Ranker": Kind.ORDER,
    "DateTime": Kind.DATE,
    **dict.fromkeys((*SHAPES, *(shape + "Labels" for shape in SHAPES)), Kind.REGIONS),
    "TimeSeriesLabels": Kind.SEGMENTS,
    "TimelineLabels": Kind.SEGMENTS,
    "HyperTextLabels": Kind.MARKS,
    "ParagraphLabels": Kind.MARKS,
    "VideoRectangle": Kind.TRACKS,
    "Relations": Kind.RELATIONS,
}
"""Kind of answer by control tag; `ControlTag.kind` knows the exceptions. A tag that is not here gives Kind.OTHER."""
_LABELS_OVER = {
    "": Kind.SPANS,
    "Text": Kind.SPANS,
    "HyperText": Kind.MARKS,
    "Paragraphs": Kind.MARKS,
    "Audio": Kind.SEGMENTS,
    "AudioPlus": Kind.SEGMENTS,
    "TimeSeries": Kind.SEGMENTS,
    "Video": Kind.SEGMENTS,
    "Image": Kind.REGIONS,
}
"""Kind of answer of a Labels control, by the tag of the object that it labels."""
MARKING = frozenset({Kind.SPANS, Kind.REGIONS, Kind.SEGMENTS, Kind.MARKS, Kind.TRACKS})
"""Kinds of answers that are lists of regions in Label Studio's words."""
LABEL_NAMES = ("label", "correction")
"""Names of a control that say that it holds the answer."""


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
    over: str = ""
    """Tag of the object that it is about, such as Text or Image; of the first one if there are several."""
    data_field: str = ""
    """Field of the data that this object shows; "" if that is not exactly one."""
    shapes: tuple[ControlTag, ...] = ()
    """Shapes without labels over the same object: a region drawn with one of them has this control's label."""
    beside: tuple[ControlTag, ...] = ()
    """Controls with `perRegion` that ask about each region of this control."""
    parts: tuple[ControlTag, ...] = ()
    """Controls that make up an answer of Kind.FORM, in the order of the answer; empty for a control of the form."""
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
        if self.parts:
            return Kind.FORM
        if self.tag == "Choices" and self.choice.startswith("multiple"):
            return Kind.LABELS
        if self.tag == "TextArea" and self.name in LABEL_NAMES:
            return Kind.LABEL
        if self.tag != "Labels":
            return KINDS.get(self.tag, Kind.OTHER)
        if self.over == "Video" and self.shapes:
            return Kind.TRACKS
        kind = _LABELS_OVER.get(self.over, Kind.OTHER)
        return Kind.MARKS if kind is Kind.SPANS and self.beside else kind

    @property
    def names(self) -> tuple[str, ...]:
        """The `from_name` of every region of a result that belongs to the answer to this control."""
        if self.parts:
            return tuple(name for part in self.parts for name in part.names)
        return (self.name, *(one.name for one in (*self.shapes, *self.beside)))

    @property
    def words(self) -> str:
        """The control as a message names it: Choices 'topic'."""
        if self.parts:
            return " and ".join(part.words for part in self.parts)
        return f"{self.tag} {self.name!r}"

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
    labels = tuple(label for label, _ in choices)
    if tag == "Pairwise":
        labels = (element.get("leftClass") or "left", element.get("rightClass") or "right")
    return ControlTag(
        tag=tag,
        name=name,
        to_name=element.get("toName", ""),
        labels=labels,
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
