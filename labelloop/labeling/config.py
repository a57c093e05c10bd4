"""LabelingConfig: the parts of Label Studio's labels.xml that labelloop uses.

One control holds the answer: a tag in KINDS named `label` or `correction`, else the only Choices, else the only one of
the next tag. A TextArea must have one of the two names.

A Choices named `verdict` with approve and reject makes the answer a correction, which counts on a reject only. A
TextArea named `comment` holds the comment. Controls about a region (`perRegion`) do not answer about the item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from xml.etree.ElementTree import Element

from labelloop.errors import SpecError
from labelloop.labeling.controls import KINDS, ControlTag, Kind, fault, read_control
from labelloop.labeling.form_xml import OURS, Places, fields_in, fields_of, read_xml
from labelloop.reading.addresses import PICTURE, address_values

APPROVE, REJECT = "approve", "reject"
SHOWN_LABEL = OURS + "label"
"""Field of a task's data that shows people the label of the pipeline's model."""
SHOWN_WHY = OURS + "why"
"""Field that says in one line why the item is a task."""
SHOWN_BEST = OURS + "best"
"""Field that holds the most probable labels of an item as choices, the most probable first."""
SHOWN_STEPS = OURS + "steps"
"""Field that holds the steps before an item, the earlier outputs of its trace, as one text."""
_LABEL_NAMES = ("label", "correction")
_TEMPLATES = {"RectangleLabels": "boxes", "Rectangle": "boxes", "Pairwise": "pairwise"}
"""Template with a form that asks the same as a control that cannot hold the answer, by the control's tag."""


@dataclass(frozen=True, slots=True)
class LabelingConfig:
    xml: str
    controls: tuple[ControlTag, ...]
    answer: ControlTag
    """The control that holds the label; the same as `correction` if there is a verdict."""
    verdict: ControlTag | None
    correction: ControlTag | None
    comment: ControlTag | None
    quick: ControlTag | None
    """Control that repeats the most probable labels, from a field of the task. A choice made there is the answer."""
    data_fields: tuple[str, ...]
    """Fields of `data` that annotators see, in the order of the page, without our own (`labelloop_...`)."""
    text_field: str | None = None
    """Field whose text annotators mark spans in; None if the answer is of another kind."""
    addresses: tuple[str, ...] = ()
    """Fields of `data` that hold the address of a picture, a sound or a file (labelloop/reading/addresses.py)."""
    pictures: tuple[str, ...] = ()
    """The addresses that an Image tag shows."""
    shows_steps: bool = False
    """Whether people see the steps before the item."""
    shows_best: bool = False
    """Whether the most probable labels of an item are choices of the form, from a field of the task."""

    @property
    def kind(self) -> Kind:
        return self.answer.kind

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the answer; empty if the label is free text, comes with the task, or is only approved."""
        return () if self.answer is self.verdict else self.answer.labels

    @staticmethod
    def parse(xml: str) -> LabelingConfig:
        """Read a labeling config. Raises SpecError with line and column. Label Studio's own checks are not repeated."""
        return _parse(xml)


@lru_cache(maxsize=64)
def _parse(xml: str) -> LabelingConfig:
    root, places = read_xml(xml)
    objects: dict[str, Element] = {}
    controls: dict[str, ControlTag] = {}
    fields: dict[str, None] = {}
    addresses: dict[str, bool] = {}
    shows_steps = shows_best = False
    for element in root.iter():
        shown = fields_of(element)
        fields.update(dict.fromkeys(f for f in shown if not f.startswith(OURS)))
        shows_steps |= SHOWN_STEPS in shown
        shows_best |= SHOWN_BEST in shown
        for value in address_values(element.tag, element.attrib):
            addresses.update(dict.fromkeys(fields_in(value, named="name" in element.attrib), element.tag == PICTURE))
        name = element.get("name")
        if not name or element.tag in ("Style", "Filter"):  # a Filter searches choices; nobody answers with it
            continue
        if name in objects or name in controls:
            raise fault(f"two tags are named {name!r}", places, element)
        if element.get("toName") is None:
            objects[name] = element
        else:
            controls[name] = read_control(element, places)
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
        answer = verdict  # people only tell whether the model is correct
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
        shows_steps=shows_steps,
        shows_best=shows_best,
    )


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
    """Return an error that says why the first control cannot hold the answer."""
    control = next(iter(controls), None)
    wanted = f"the answer is read from one {_words(KINDS)}"
    if control is None:
        return fault(f"no control, that is, no tag with name and toName; {wanted}", places, root)
    if control.tag not in KINDS:
        template = _TEMPLATES.get(control.tag)
        instead = f"; `labelloop init --template {template}` makes a form that asks about it" if template else ""
        why = f"{control.tag} is not a control whose answers labelloop reads: {wanted}{instead}"
    elif control.per_region:
        why = f"{control.tag} {control.name!r} asks about regions (perRegion); {wanted}, which asks about the item"
    else:
        why = f"{control.tag} {control.name!r} holds the label only if it is named {' or '.join(_LABEL_NAMES)}"
    return fault(why, places, by_name[control.name])


def _text(
    answer: ControlTag, objects: Mapping[str, Element], places: Places, by_name: Mapping[str | None, Element]
) -> str:
    """Return the field shown by the Text that these Labels mark."""
    over = objects.get(answer.to_name)
    fields = [] if over is None or over.tag != "Text" else fields_of(over)
    if len(fields) != 1:
        what = answer.to_name if over is None else f"{over.tag} {answer.to_name}"
        raise fault(
            f"Labels {answer.name!r} marks {what}; spans must mark one Text that shows one field "
            "of the data, such as value='$text'",
            places,
            by_name[answer.name],
        )
    return fields[0]


def _words(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"
