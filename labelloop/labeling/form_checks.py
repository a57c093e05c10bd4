"""Checks of a labels.xml: a form may be readable and yet lose answers or be refused by Label Studio.

They run when a loop's files are loaded. Forms that are already registered, or that are in Label Studio, are not
checked.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from labelloop.errors import SpecError
from labelloop.labeling import form_tags
from labelloop.labeling.choices import choices_of
from labelloop.labeling.config import SHOWN_STEPS, LabelingConfig
from labelloop.labeling.controls import KINDS, Kind, fault
from labelloop.labeling.form_xml import Places, editor_reads, fields_of, read_xml, renamed

MAX_LABELS = 5_000
MAX_LABEL = 200
"""Largest number of characters of a label, or of a whole path."""
_READ = {tag.lower(): tag for tag in (*KINDS, "Choice", "Label", "Repeater", "Text")}
_NO_LABEL = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that no label may hold: control characters, surrogates, line and paragraph separators."""
SHOWS_STEPS = ("Text", "Header")
"""Tags that can show the steps before an item. Other tags would read what pipelines sent as HTML, or as an address."""
_OVER = {
    **{tag: "Image" for tag, kind in KINDS.items() if kind is Kind.REGIONS},
    "TimeSeriesLabels": "TimeSeries",
    "TimelineLabels": "Video",
    "VideoRectangle": "Video",
    "ParagraphLabels": "Paragraphs",
    "HyperTextLabels": "HyperText",
}
"""Tag of the object that a control marks, by the tag of the control, as Label Studio documents it."""
_DRAWN_BY = {
    "Image": "RectangleLabels, or add a shape, such as Rectangle",
    "Paragraphs": "ParagraphLabels",
    "Video": "TimelineLabels, or add a VideoRectangle",
}
"""Controls in place of Labels, by the tag of an object on which Labels alone mark nothing (measured on 1.23.2)."""
_UNSEEN = frozenset({"Cf", "Zs"})


def label_fault(label: str) -> str | None:
    """Return the reason why a text cannot be a label; None if it can.

    Joiners, no-break spaces inside, and direction marks are allowed: some languages need them.
    """
    kinds = {unicodedata.category(letter) for letter in label}
    if label != label.strip() or not 0 < len(label) <= MAX_LABEL or kinds & _NO_LABEL or kinds <= _UNSEEN:
        return (
            f"a label is 1 to {MAX_LABEL} visible characters, without blanks around it, line breaks and control "
            f"characters; found {label!r}"
        )
    return None


def faults(xml: str) -> list[SpecError]:
    """Return every mistake by which answers to this form would be lost, or for which Label Studio refuses it."""
    try:
        root, places = read_xml(xml)
    except SpecError as exc:
        return [exc]
    found = [exc for element in root.iter() for exc in _all_of(_check_tag, element, places)]
    if found:  # the rest is about controls as these tags would be
        return found
    try:
        config = LabelingConfig.parse(xml)
    except SpecError as exc:
        return [exc]
    found += form_tags.faults(root, config, places)
    elements = {element.get("name"): element for element in root.iter()}
    for control in config.controls:
        if control.tag in ("Choices", "Taxonomy") or control.tag.endswith("Labels"):
            found += _all_of(_check_choices, elements[control.name], places)
        wanted = _OVER.get(control.tag)
        if wanted and control.over != wanted:
            over = f"{control.words} is for {_a(wanted)}, and {control.to_name!r} is {_a(control.over)}"
            found.append(fault(over, places, elements[control.name]))
        instead = _DRAWN_BY.get(control.over) if control.tag == "Labels" else None
        if instead and not control.shapes:
            nothing = f"{control.words} over {_a(control.over)} lets nobody mark anything; use {instead}"
            found.append(fault(nothing, places, elements[control.name]))
    for role, about in (("verdict", config.verdict), ("comment", config.comment)):
        if about is not None and about.per_region:
            asks = f"{about.tag} {role!r} asks about regions (perRegion); labelloop reads a {role} about the item"
            found.append(fault(asks, places, elements[role]))
    answer = config.answer
    if len(answer.labels) == 1 and answer.kind is Kind.LABEL:
        one = f"{answer.name!r} has one label: with one label there is nothing to choose"
        found.append(fault(one, places, elements[answer.name]))
    return found


def _a(tag: str) -> str:
    return f"{'an' if tag[:1] in 'AEIOU' else 'a'} {tag}"


def _all_of(
    check: Callable[[Element, Places], Iterator[SpecError]], element: Element, places: Places
) -> list[SpecError]:
    found = []
    try:
        for exc in check(element, places):
            found.append(exc)  # noqa: PERF402 -- those before an exception count too
    except SpecError as exc:
        found.append(exc)
    return found


def _check_tag(element: Element, places: Places) -> Iterator[SpecError]:
    tag = _READ.get(element.tag.lower(), element.tag)
    if element.tag != tag:
        yield fault(f"the tag <{element.tag}> is written <{tag}>", places, element)
    if tag == "Repeater":
        yield fault(
            "Repeater creates controls whose names are not in the form (c0, c1), and labelloop reads one answer an "
            "item. Submit each item of the list as an output of its own",
            places,
            element,
        )
    if tag == "DateTime" and "month" in element.get("only", "") and "date" not in element.get("only", ""):
        yield fault(
            "DateTime writes no month: with only='month' it writes nothing, with a year the first of January. Ask for "
            "the date, or for the year",
            places,
            element,
        )
    if SHOWN_STEPS in fields_of(element) and tag not in SHOWS_STEPS:
        yield fault(f"{tag} cannot show ${SHOWN_STEPS}; {' and '.join(SHOWS_STEPS)} can", places, element)
    for field in fields_of(element):
        # The server and the editor may read a name differently; form_xml renames the field if it can.
        if not editor_reads(field) and not renamed(field):
            yield fault(
                f"Label Studio takes all of {field!r} as one field of the data, since the value begins with $. A field "
                "is letters, digits and _, or a path of such (doc.text). To show several fields, begin with a word",
                places,
                element,
            )


def _check_choices(element: Element, places: Places) -> Iterator[SpecError]:
    seen = set[str]()
    name = element.get("name")
    choices = choices_of(element, places)
    if len(choices) > MAX_LABELS:
        yield fault(f"{name!r} has {len(choices)} labels; at most {MAX_LABELS} are allowed", places, element)
    for label, choice in choices:
        if label in seen:
            yield fault(f"{name!r} has {label!r} twice", places, choice)
        seen.add(label)
        if wrong := label_fault(label):
            yield fault(f"in {name!r} {wrong}", places, choice)
    from_data = element.get("value") or element.get("apiUrl")
    one = "Label" if element.tag.endswith("Labels") else "Choice"
    if not choices and not from_data and next(element.iter(one), None) is None and element.tag != "Taxonomy":
        what = "which Label Studio refuses" if one == "Choice" else "so nobody can mark anything with it"
        yield fault(f"{element.tag} {name!r} has no <{one}>, {what}", places, element)
