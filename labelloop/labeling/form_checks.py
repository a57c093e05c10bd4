"""What a labels.xml must not hold: forms that can be read, and yet would lose answers or be refused by Label Studio.

Asked when a loop's files are loaded, not of forms that are registered already or that stand in Label Studio.
"""

from __future__ import annotations

import unicodedata
from xml.etree.ElementTree import Element

from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import KINDS, Kind, choices_of, fault
from labelloop.labeling.form_xml import Places, editor_reads, fields_of, read_xml, renamed

MAX_LABELS = 5_000
MAX_LABEL = 200
"""Characters of a label; of a path as a whole."""
_READ = {tag.lower(): tag for tag in (*KINDS, "Choice", "Label", "Repeater", "Text")}
_NO_LABEL = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control characters, halves of surrogate pairs, line and paragraph separators."""
_UNSEEN = frozenset({"Cf", "Zs"})


def label_fault(label: str) -> str | None:
    """What keeps a text from being a label; None: nothing does.

    Joiners, no-break spaces inside, and marks of direction are letters that languages need.
    """
    kinds = {unicodedata.category(letter) for letter in label}
    if label != label.strip() or not 0 < len(label) <= MAX_LABEL or kinds & _NO_LABEL or kinds <= _UNSEEN:
        return (
            f"a label is 1 to {MAX_LABEL} characters that can be seen, without blanks around, line breaks and control "
            f"characters; found {label!r}"
        )
    return None


def check(xml: str) -> None:
    """Raises SpecError with line and column where answers to this form would be lost, or Label Studio refuses it."""
    root, places = read_xml(xml)
    for element in root.iter():
        _check_tag(element, places)
    config = LabelingConfig.parse(xml)
    elements = {element.get("name"): element for element in root.iter()}
    for control in config.controls:
        if control.tag in ("Choices", "Labels", "Taxonomy"):
            _check_choices(elements[control.name], places)
    for role, about in (("verdict", config.verdict), ("comment", config.comment)):
        if about is not None and about.per_region:
            raise fault(
                f"{about.tag} {role!r} asks about regions (perRegion); labelloop reads a {role} about the item",
                places,
                elements[role],
            )
    answer = config.answer
    if len(answer.labels) == 1 and answer.kind is Kind.LABEL:
        raise fault(
            f"{answer.name!r} has one label, and one label leaves nothing to choose", places, elements[answer.name]
        )


def _check_tag(element: Element, places: Places) -> None:
    tag = _READ.get(element.tag.lower(), element.tag)
    if element.tag != tag:
        raise fault(f"the tag <{element.tag}> is written <{tag}>", places, element)
    if tag == "Repeater":
        raise fault(
            "Repeater makes controls whose answers come under names that are not in the form (c0, c1): labelloop reads "
            "one answer an item; submit each item of the list as an output of its own",
            places,
            element,
        )
    for field in fields_of(element):
        # A name has one meaning to the server and another to the editor; form_xml makes it one where it can.
        if not editor_reads(field) and not renamed(field):
            raise fault(
                f"Label Studio takes all of {field!r} as one field of the data, since the value begins with $; "
                "a field is letters, digits and _, or a path of such (doc.text); to show several, begin with a word",
                places,
                element,
            )


def _check_choices(element: Element, places: Places) -> None:
    seen = set[str]()
    name = element.get("name")
    choices = choices_of(element, places)
    if len(choices) > MAX_LABELS:
        raise fault(f"{name!r} has {len(choices)} labels; at most {MAX_LABELS} are taken", places, element)
    for label, choice in choices:
        if label in seen:
            raise fault(f"{name!r} has {label!r} twice", places, choice)
        seen.add(label)
        if wrong := label_fault(label):
            raise fault(f"in {name!r} {wrong}", places, choice)
    from_data = element.get("value") or element.get("apiUrl")
    if element.tag == "Choices" and not choices and not from_data and not any(True for _ in element.iter("Choice")):
        raise fault(f"Choices {name!r} has no <Choice>, which Label Studio refuses", places, element)
