"""LabelingConfig: the parts of Label Studio's labels.xml that labelloop uses.

labelloop/labeling/answering.py says which controls hold the answer.

A Choices named `verdict` with approve and reject makes the answer a correction, which counts on a reject only. A
TextArea named `comment` holds the comment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from xml.etree.ElementTree import Element

from labelloop.labeling.answering import OF_ITSELF, answer_of, everything, grouped, marked_text, relations_of
from labelloop.labeling.controls import ControlTag, Former, Kind, fault, read_control
from labelloop.labeling.form_xml import OURS, fields_in, fields_of, read_xml
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
    everything: tuple[str, ...] = ()
    """The `answer` of a new loop with this form, if loop.yaml does not name it (labeling/answering.py)."""
    shows_best: bool = False
    """Whether the most probable labels of an item are choices of the form, from a field of the task."""

    @property
    def kind(self) -> Kind:
        return self.answer.kind

    @property
    def by_name(self) -> dict[str, ControlTag]:
        """The controls by name."""
        return {control.name: control for control in self.controls}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the answer; empty if the label is free text, comes with the task, or is only approved."""
        return () if self.answer is self.verdict else self.answer.labels

    @staticmethod
    def parse(xml: str, answer: Sequence[str] = (), former: Mapping[str, Former] | None = None) -> LabelingConfig:
        """Read a labeling config. `answer` names the controls that hold the answer; () leaves it to the form. `former`
        are labels that the answer had before.

        Raises SpecError with line and column. Label Studio's own checks are not repeated.
        """
        return _parse(xml, tuple(answer), tuple(sorted((former or {}).items(), key=lambda item: item[0])))


@lru_cache(maxsize=64)
def _parse(xml: str, wanted: tuple[str, ...], former: tuple[tuple[str, Former], ...]) -> LabelingConfig:
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
        if not name or element.tag in (
            "Bucket",
            "Style",
            "Filter",
        ):  # a Filter searches choices; nobody answers with it
            continue
        if name in objects or name in controls:
            raise fault(f"two tags are named {name!r}", places, element)
        if element.get("toName") is None or element.tag == OF_ITSELF:
            objects[name] = element
        if element.get("toName") is not None:
            controls[name] = read_control(element, places)
    by_name = {element.get("name"): element for element in root.iter()}
    for element in root.iter():
        about = element.get("toName")
        for to_name in () if about is None else about.split(","):
            if to_name not in objects and to_name not in controls:
                raise fault(
                    f"{element.get('name')!r} has toName {to_name!r}; there are: {', '.join(objects)}", places, element
                )
    controls = grouped(controls, objects, root)
    verdict = controls.get("verdict")
    if verdict is not None and (verdict.tag != "Choices" or set(verdict.labels) != {APPROVE, REJECT}):
        raise fault(
            f"the control named verdict must be a Choices of {APPROVE} and {REJECT}", places, by_name[verdict.name]
        )
    comment = controls.get("comment")
    quick = next((c for c in controls.values() if (c.name, c.tag, c.labels) == ("quick", "Choices", ())), None)
    relations, has_tag = relations_of(controls, root)
    answer = answer_of(controls, relations, wanted, root, places)
    if former:
        answer = answer.with_former(dict(former))
    text = None if answer.kind is not Kind.SPANS else marked_text(answer, objects, by_name, places)
    return LabelingConfig(
        xml=xml,
        controls=tuple(controls.values()),
        answer=answer,
        verdict=verdict,
        correction=answer if verdict is not None and answer is not verdict else None,
        comment=comment if comment is not None and comment.tag == "TextArea" else None,
        quick=None
        if quick is None or quick is answer
        else replace(quick, labels=answer.labels, predicted=answer.predicted, gone=answer.gone),
        data_fields=tuple(fields),
        text_field=text,
        addresses=tuple(addresses),
        pictures=tuple(field for field, is_picture in addresses.items() if is_picture),
        shows_steps=shows_steps,
        everything=everything(controls, relations=has_tag),
        shows_best=shows_best,
    )
