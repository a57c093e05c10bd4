"""LabelingConfig: Label Studio's labels.xml as far as we read it, and the form that we generate where there is none.

The control that holds the label is the Choices named `label` or `correction`, else the only Choices there is, else the
TextArea named `label` or `correction`. A Choices named `verdict` with approve and reject makes the label a
correction: it counts on a reject only. A TextArea named `comment` holds the comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from labelloop.errors import SpecError

APPROVE, REJECT = "approve", "reject"
OURS = "labelloop_"
"""Fields of a task's data that begin with this are our own."""
SHOWN_LABEL = OURS + "label"
"""The field of a task's data that holds the label of the pipeline's model, for people to see."""
SHOWN_WHY = OURS + "why"
"""The field that says in one line why the item is asked."""
MAX_BYTES = 1 << 20
_LABEL_NAMES = ("label", "correction")
_FIELD = re.compile(r"\$([\w.\[\]]+)")


@dataclass(frozen=True, slots=True)
class ControlTag:
    """A tag that people answer with."""

    tag: str
    """Choices, TextArea, ..."""
    name: str
    """`from_name` in a result."""
    to_name: str
    labels: tuple[str, ...] = ()
    """What can be chosen, as results hold it (the alias where a choice has one); empty for free text."""
    choice: str = "single"
    predicted: Mapping[str, str] = field(default_factory=dict)
    """Other words that models use for a label (`predicted_values`) -> the label."""

    def shown(self, said: str) -> str:
        """The label that stands for what a model said; what the form does not know stays as it is."""
        return said if said in self.labels else self.predicted.get(said, said)


@dataclass(frozen=True, slots=True)
class LabelingConfig:
    xml: str
    controls: tuple[ControlTag, ...]
    answer: ControlTag
    """Holds the label; the same as `correction` where there is a verdict."""
    verdict: ControlTag | None
    correction: ControlTag | None
    comment: ControlTag | None
    data_fields: tuple[str, ...]
    """Fields of `data` that annotators see, in the order of the page; our own (`labelloop_...`) are left out."""

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
    root, places = _read_xml(xml)
    objects: set[str] = set()
    controls: dict[str, ControlTag] = {}
    fields: dict[str, None] = {}
    for element in root.iter():
        fields.update(dict.fromkeys(f for f in _FIELD.findall(element.get("value", "")) if not f.startswith(OURS)))
        name = element.get("name")
        if not name or element.tag == "Style":
            continue
        if name in objects or name in controls:
            raise SpecError(f"labels.xml: two tags are named {name!r}", line=places[element])
        if element.get("toName") is None:
            objects.add(name)
        else:
            controls[name] = _control(element)
    for element in root.iter():
        for to_name in filter(None, element.get("toName", "").split(",")):
            if to_name not in objects and to_name not in controls:
                raise SpecError(
                    f"labels.xml: {element.get('name')!r} has toName {to_name!r}; there are: {', '.join(objects)}",
                    line=places[element],
                )
    verdict = controls.get("verdict")
    if verdict is not None and (verdict.tag != "Choices" or set(verdict.labels) != {APPROVE, REJECT}):
        raise SpecError(f"labels.xml: the control named verdict must be a Choices of {APPROVE} and {REJECT}")
    comment = controls.get("comment")
    answer = _answer(controls.values())
    if answer is None and verdict is not None:
        answer = verdict  # people only say whether the model was right
    if answer is None:
        raise SpecError(
            "labels.xml: the label is read from one Choices, or from a TextArea named label; found: "
            + (", ".join(f"{c.tag} {c.name!r}" for c in controls.values()) or "no control")
        )
    if answer.choice.startswith("multiple"):
        raise SpecError(f"labels.xml: {answer.name!r} takes several choices; the label is one: choice='single'")
    return LabelingConfig(
        xml=xml,
        controls=tuple(controls.values()),
        answer=answer,
        verdict=verdict,
        correction=answer if verdict is not None and answer is not verdict else None,
        comment=comment if comment is not None and comment.tag == "TextArea" else None,
        data_fields=tuple(fields),
    )


def _control(element: Element) -> ControlTag:
    labels = []
    predicted: dict[str, str] = {}
    for choice in element.iter("Choice"):
        label = choice.get("alias") or choice.get("value")
        if label and not label.startswith("$"):
            labels.append(label)
            for said in filter(None, map(str.strip, choice.get("predicted_values", "").split(","))):
                if predicted.setdefault(said, label) != label:
                    raise SpecError(
                        f"labels.xml: {said!r} is a predicted value of {predicted[said]!r} and of {label!r}"
                    )
    return ControlTag(
        tag=element.tag,
        name=element.get("name", ""),
        to_name=element.get("toName", ""),
        labels=tuple(labels),
        choice=element.get("choice", "single"),
        predicted=predicted,
    )


def _answer(controls: Iterable[ControlTag]) -> ControlTag | None:
    found = [c for c in controls if c.name != "verdict"]
    for tag in ("Choices", "TextArea"):
        of_tag = [c for c in found if c.tag == tag]
        named = [c for c in of_tag if c.name in _LABEL_NAMES]
        if named:
            return named[0]
        if tag == "Choices" and len(of_tag) == 1:
            return of_tag[0]
        if tag == "Choices" and len(of_tag) > 1:
            names = ", ".join(repr(c.name) for c in of_tag)
            raise SpecError(f"labels.xml: several Choices ({names}); name the one that holds the label `label`")
    return None


def _read_xml(xml: str) -> tuple[Element, dict[Element, int]]:
    """The tree, and the line of every element. Entities cannot be declared: a few of them can fill any memory."""
    if len(xml.encode(errors="replace")) > MAX_BYTES:
        raise SpecError(f"labels.xml: more than {MAX_BYTES} bytes")
    builder, places = TreeBuilder(), {}
    parser = expat.ParserCreate("utf-8")

    def start(tag: str, attributes: Mapping[str, str]) -> None:
        places[builder.start(tag, dict(attributes))] = parser.CurrentLineNumber

    def refuse(*_: object) -> None:
        raise SpecError(
            "labels.xml: a DOCTYPE and entities are not read",
            line=parser.CurrentLineNumber,
            column=parser.CurrentColumnNumber + 1,
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(xml.encode(), True)
    except (expat.ExpatError, UnicodeEncodeError) as exc:
        line, column = getattr(exc, "lineno", 1), getattr(exc, "offset", 0) + 1
        raise SpecError(f"labels.xml: {exc}", line=line, column=column) from None
    return builder.close(), places


def generate_form(labels: Sequence[str], fields: Sequence[str], show: Mapping[str, str]) -> str:
    """The form for approval, correction and comment (`fields`), over what `show` names: {"text": "$text"}.

    With `why` among the fields it says above the item why it is asked. The correction is a choice among `labels`, or
    free text where they are not known. Without approval the correction is simply the label.
    """
    kind = next(iter(show))
    shown = [f"  <{k.capitalize()} name={quoteattr(k)} value={quoteattr(v)}/>" for k, v in show.items()]
    correction = _correction(labels, kind)
    small = 'size="5" style="font-size: 13px; font-weight: 400"'
    reason = [f'  <Header value="${SHOWN_WHY}" {small}/>'] if "why" in fields else []
    lines = ["<View>", *reason, *shown, '  <Header value="The model says"/>']
    lines.append(f'  <Text name="{SHOWN_LABEL}" value="${SHOWN_LABEL}"/>')
    if "approval" in fields:
        lines += [
            f'  <Choices name="verdict" toName="{kind}" choice="single-radio" required="true" showInline="true">',
            f'    <Choice value="{APPROVE}"/><Choice value="{REJECT}"/>',
            "  </Choices>",
        ]
    if "approval" in fields and "correction" in fields:
        visible = f'visibleWhen="choice-selected" whenTagName="verdict" whenChoiceValue="{REJECT}"'
        lines += [f"  <View {visible}>", *("  " + line for line in correction), "  </View>"]
    elif "correction" in fields:
        lines += correction
    if "comment" in fields:
        extra = 'rows="2" maxSubmissions="1" editable="true" placeholder="Comment (optional)"'
        lines.append(f'  <TextArea name="comment" toName="{kind}" {extra}/>')
    return "\n".join([*lines, "</View>", ""])


def _correction(labels: Sequence[str], kind: str) -> list[str]:
    if not labels:
        extra = 'required="true" rows="1" maxSubmissions="1" editable="true" placeholder="What it should be"'
        return [f'  <TextArea name="correction" toName="{kind}" {extra}/>']
    return [
        f'  <Choices name="correction" toName="{kind}" choice="single-radio" required="true" showInline="true">',
        *(f"    <Choice value={quoteattr(label)}/>" for label in labels),
        "  </Choices>",
    ]
