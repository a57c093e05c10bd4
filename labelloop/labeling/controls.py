"""Controls: the tags of labels.xml that people answer with, and the kinds of answer that they give."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from xml.etree.ElementTree import Element

from labelloop.labeling.choices import PATH as PATH
from labelloop.labeling.choices import choices_of, other_words
from labelloop.labeling.choices import fault as fault
from labelloop.labeling.conditions import Condition
from labelloop.labeling.form_xml import Places


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
SHAPES = ("Rectangle", "Polygon", "Ellipse", "KeyPoint", "Brush", "Bitmask", "Vector", "MagicWand")
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
class Former:
    """End of a label that the form does not have any more (docs/engineers/labels-change.md)."""

    to: tuple[str, ...]
    """The labels that it became: one if it was renamed or merged, several if it was split, none if it was retired."""
    ask: bool
    """Whether people are asked again about what was answered with it."""


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
    over_attributes: Mapping[str, str] = field(default_factory=dict)
    """Attributes of that object by their names in lower case, such as `timeformat` of a TimeSeries."""
    shapes: tuple[ControlTag, ...] = ()
    """Shapes without labels over the same object: a region drawn with one of them has this control's label."""
    beside: tuple[ControlTag, ...] = ()
    """Controls with `perRegion` that ask about each region of this control."""
    between: tuple[ControlTag, ...] = ()
    """Controls whose regions people relate to one another, if this is Relations; they have no tag of their own name."""
    conditions: tuple[Condition, ...] = ()
    """All must hold for people to see the control; () if it is always there."""
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
    last step of a path, if no other path ends in it. And they are former labels that became one label.
    """
    gone: Mapping[str, Former] = field(default_factory=dict)
    """Former labels that became several labels, or none: an answer with one of them does not count."""
    buckets: tuple[str, ...] = ()
    """Names of the buckets into which a Ranker sorts the items; empty if it has them in one order."""
    default: str = ""
    """Bucket that holds the items that nobody moved; "" if they stay in the list."""
    only: str = ""
    format: str = ""
    """Parts of a DateTime (date, time, month, year), and how it writes them, in the codes of strftime."""
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
        if self.per_region and self.over == "Chat":
            return Kind.OTHER  # about each message
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
        if self.between:
            return tuple(name for one in self.between for name in one.names)
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

    def today(self, label: str | None) -> str | None:
        """Return a model's label as the form has it today; None for one that became several labels, or none."""
        return None if label is None or label in self.gone else self.shown(label)

    def with_former(self, former: Mapping[str, Former]) -> ControlTag:
        """Return the control that also reads these former labels."""
        mapped = {label: one.to[0] for label, one in former.items() if len(one.to) == 1 and not one.ask}
        gone = {label: one for label, one in former.items() if label not in mapped}
        return replace(self, predicted={**self.predicted, **mapped}, gone=gone)


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
        labels = ("left", "right")  # leftClass and rightClass change how it looks, and not what it writes
    buckets = [one for one in element.iter("Bucket") if one.get("name")] if tag == "Ranker" else []
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
        predicted={} if tag == "Taxonomy" else other_words(choices, places),
        buckets=tuple(one.get("name", "") for one in buckets),
        default=next((one.get("name", "") for one in buckets if one.get("default") == "true"), ""),
        only=element.get("only", "") if tag == "DateTime" else "",
        format=element.get("format", "") if tag == "DateTime" else "",
    )


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
