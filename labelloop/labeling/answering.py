"""Find the controls of a form that hold the answer, and those that answer together about the same regions. Pure.

`answer:` in loop.yaml names the controls. Without it, these hold the answer:

1. a control named `label` or `correction`
2. else the only Choices, else the only one of the next tag of FIRST
3. else every control that a person fills in, except the comment

The first two rules leave out what is asked about each span of a text. A new loop whose form asks more than they take
is registered with all its controls in `answer` (`everything`). So a loop that was registered before answers to several
controls existed keeps its answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

from labelloop.errors import SpecError
from labelloop.labeling.conditions import conditions_of
from labelloop.labeling.controls import LABEL_NAMES, MARKING, SHAPES, ControlTag, fault
from labelloop.labeling.form_xml import Places, fields_of
from labelloop.reading.nearest import did_you_mean

FIRST = ("Choices", "Labels", "Taxonomy", "Number", "Rating")
RELATIONS = "relations"
"""Name of the relations between regions in `answer`, and in an answer to several controls."""
OF_ITSELF = "Chat"
"""Tag of an object that has regions of its own, its messages; with a toName it is a control too."""
_BESIDE_THE_ANSWER = ("verdict", "comment", "quick")
"""Names of controls that are not part of the answer unless `answer` names them."""


def grouped(controls: Mapping[str, ControlTag], objects: Mapping[str, Element], root: Element) -> dict[str, ControlTag]:
    """Return the controls with what they are about, when people see them, and the controls that belong to them.

    Labels take the shapes without labels over the same object. A control that marks regions takes the controls with
    `perRegion` over the same object.
    """
    found = {}
    when = {element.get("name"): held for element, held in conditions_of(root).items()}
    for name, control in controls.items():
        over = [objects[one] for one in control.objects if one in objects]
        fields = [field for element in over for field in fields_of(element)]
        shown = fields[0] if len(fields) == 1 else ""
        attributes = {key.lower(): value for key, value in over[0].attrib.items()} if over else {}
        tag = over[0].tag if over else ""
        found[name] = replace(control, over=tag, over_attributes=attributes, data_field=shown, conditions=when[name])
    drawn = ("VideoRectangle", *SHAPES)
    for name, control in found.items():
        if control.tag == "Labels":
            shapes = tuple(one for one in found.values() if one.tag in drawn and one.to_name == control.to_name)
            found[name] = replace(control, shapes=shapes)
    for name, control in found.items():
        if control.kind in MARKING and not control.per_region:
            about = set(control.objects)
            beside = tuple(one for one in found.values() if one.per_region and about & set(one.objects))
            found[name] = replace(control, beside=beside)
    return found


def relations_of(controls: Mapping[str, ControlTag], root: Element) -> tuple[ControlTag | None, bool]:
    """Return the relations that people can draw between regions, and whether the form has the tag Relations.

    They have no tag that Label Studio gives a name, so that RELATIONS names them; None if no control marks regions.
    """
    tag = next(root.iter("Relations"), None)
    drawn = {one.name for control in controls.values() for one in control.shapes}
    between = tuple(one for one in controls.values() if one.kind in MARKING and one.name not in drawn)
    if not between or RELATIONS in controls:
        return None, False
    labels = () if tag is None else tuple(one.get("value", "") for one in tag.iter("Relation"))
    return ControlTag("Relations", RELATIONS, "", labels, between=between), tag is not None


def answer_of(
    controls: Mapping[str, ControlTag],
    relations: ControlTag | None,
    wanted: Sequence[str],
    root: Element,
    places: Places,
) -> ControlTag:
    """Return the control that holds the answer, or one of Kind.FORM if several do.

    Raises SpecError if there is none, or no control of a name in `wanted`.
    """
    by_name = {element.get("name"): element for element in root.iter()}
    if wanted:
        there = controls if relations is None else {**controls, RELATIONS: relations}
        return _together([_named(name, there) for name in wanted])
    ours = answering(controls)
    named = next((one for one in ours if one.name in LABEL_NAMES), None)
    if named is not None:
        return _alone(named)
    verdict = controls.get("verdict")
    for tag in FIRST:
        of_tag = [one for one in ours if one.tag == tag and _of_the_item(one)]
        if len(of_tag) == 1:
            return _alone(of_tag[0])
        if of_tag:
            break
    if verdict is not None:
        return verdict  # people only tell whether the model is correct
    if not ours:
        raise _no_answer(controls.values(), places, by_name, root)
    return _together(ours)


def everything(controls: Mapping[str, ControlTag], *, relations: bool = False) -> tuple[str, ...]:
    """Return the names of the controls that hold the answer of a new loop whose loop.yaml does not name them.

    () if one control holds it by the rules above. `relations`: whether the form has the tag Relations.
    """
    ours = answering(controls)
    if "verdict" in controls:
        return ()
    named = [one for one in ours if one.name in LABEL_NAMES][:1]
    ours = named or ours
    if len(ours) < 2 and not relations and not any(one.beside for one in ours):
        return ()
    return (*(one.name for one in ours), *([RELATIONS] if relations else []))


def answering(controls: Mapping[str, ControlTag]) -> list[ControlTag]:
    """Return the controls that a person fills in about the item: each with its shapes and its controls by region."""
    taken = {one.name for control in controls.values() for one in control.shapes}
    return [
        one
        for one in controls.values()
        if one.name not in (*_BESIDE_THE_ANSWER, *taken) and (not one.per_region or one.over == OF_ITSELF)
    ]


def _of_the_item(control: ControlTag) -> bool:
    """Whether loops could be about this control before answers to several controls existed."""
    return control.tag != "Labels" or control.over == "Text"


def _alone(control: ControlTag) -> ControlTag:
    """Return the control; without what is asked about each span if it marks spans of a text."""
    return replace(control, beside=()) if control.over == "Text" else control


def _named(name: str, controls: Mapping[str, ControlTag]) -> ControlTag:
    if name not in controls:
        near = did_you_mean(name, controls)
        raise SpecError(f"answer: labels.xml has no control {name!r}{near}; there are: {', '.join(controls)}")
    return controls[name]


def _together(controls: Sequence[ControlTag]) -> ControlTag:
    return controls[0] if len(controls) == 1 else ControlTag(tag="", name="", to_name="", parts=tuple(controls))


def _no_answer(
    controls: Iterable[ControlTag], places: Places, by_name: Mapping[str | None, Element], root: Element
) -> SpecError:
    """Return an error that says why the first control cannot hold the answer."""
    control = next(iter(controls), None)
    wanted = "people must answer about the item, with a control such as Choices, Labels, RectangleLabels or TextArea"
    if control is None:
        return fault(f"no control, that is, no tag with name and toName; {wanted}", places, root)
    if control.per_region:
        why = f"{control.tag} {control.name!r} asks about regions (perRegion), and no control marks regions; {wanted}"
    else:
        why = f"{control.tag} {control.name!r} is the comment; {wanted}"
    return fault(why, places, by_name[control.name])


def marked_text(
    answer: ControlTag, objects: Mapping[str, Element], by_name: Mapping[str | None, Element], places: Places
) -> str:
    """Return the field shown by the Text that these Labels mark. Raises SpecError if it is not exactly one."""
    if answer.data_field:
        return answer.data_field
    over = objects.get(answer.to_name)
    what = answer.to_name if over is None else f"{over.tag} {answer.to_name}"
    raise fault(
        f"Labels {answer.name!r} marks {what}; spans must mark one Text that shows one field "
        "of the data, such as value='$text'",
        places,
        by_name[answer.name],
    )
