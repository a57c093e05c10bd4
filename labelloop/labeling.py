"""LabelingConfig: Label Studio's labels.xml as far as we read it, and the form that we generate where there is none.

The control that holds the answer is the one of a tag in KINDS that is named `label` or `correction`, else the only
Choices there is, else the only one of the next tag; a TextArea must be named so. A Choices named `verdict` with approve
and reject makes the answer a correction: it counts on a reject only. A TextArea named `comment` holds the comment. What
is asked of a region (`perRegion`) is no answer about the item.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
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
SHOWN_BEST = OURS + "best"
"""The field that holds the likeliest labels of an item, the likeliest first, as choices."""
MANY_LABELS = 9
"""A generated form with more labels than digit keys shows the likeliest ones first."""
MAX_BYTES = 1 << 20
_LABEL_NAMES = ("label", "correction")
_STYLE = (
    ".labelloop-item { margin-bottom: 16px } .labelloop-item * { font-size: 20px; line-height: 1.5 } "
    ".labelloop-why * { font-size: 13px; font-weight: 400; opacity: 0.8 }"
)
"""Of the generated form: the item is larger than all else, the reason for asking is smaller."""
_FIELD = re.compile(r"\$([\w.\[\]]+)")
PATH = " / "
"""Between the steps of a label of a Taxonomy."""


class Kind(StrEnum):
    """What an answer is; labelloop/structured.py says how each is written as a text."""

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
    labels: tuple[str, ...] = ()
    """What can be chosen, as results hold it (the alias where a choice has one; in a Taxonomy the path, joined by
    PATH); empty for free text and numbers.
    """
    choice: str = "single"
    required: bool = False
    per_region: bool = False
    low: float | None = None
    high: float | None = None
    """The bounds of a number, both included; None: there is none."""
    step: float | None = None
    """Numbers go up from `low` (from 0, where there is none) by this; None: any between the bounds."""
    predicted: Mapping[str, str] = field(default_factory=dict)
    """Other words that models use for a label (`predicted_values`) -> the label."""

    @property
    def kind(self) -> Kind:
        several = self.tag == "Choices" and self.choice.startswith("multiple")
        return Kind.LABELS if several else KINDS.get(self.tag, Kind.LABEL)

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
    quick: ControlTag | None
    """The likeliest few of the answer's labels once more, by a field of the task; chosen there, it is the answer."""
    data_fields: tuple[str, ...]
    """Fields of `data` that annotators see, in the order of the page; our own (`labelloop_...`) are left out."""
    text_field: str | None = None
    """The field whose text spans are marked in; None where the answer is none."""

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
    root, places = _read_xml(xml)
    objects: dict[str, Element] = {}
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
            objects[name] = element
        else:
            controls[name] = _control(element, places[element])
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
    quick = next((c for c in controls.values() if (c.name, c.tag, c.labels) == ("quick", "Choices", ())), None)
    answer = _answer(controls.values())
    if answer is None and verdict is not None:
        answer = verdict  # people only say whether the model was right
    if answer is None:
        raise SpecError(
            f"labels.xml: the answer is read from one {_words(KINDS)}, which must be named label; found: "
            + (", ".join(f"{c.tag} {c.name!r}" for c in controls.values()) or "no control")
        )
    text = None if answer.kind is not Kind.SPANS else _text(answer, objects)
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
    )


def _control(element: Element, line: int) -> ControlTag:
    tag, name = element.tag, element.get("name", "")
    low, high, step = (_number(element, attribute, line) for attribute in ("min", "max", "step"))
    if tag == "Rating":
        low, high, step = 1.0, _number(element, "maxRating", line) or 5.0, 1.0
    if low is not None and high is not None and low >= high:
        raise SpecError(f"labels.xml: {name!r} takes numbers from {low:g} to {high:g}: there are none", line=line)
    choices = list(element.iter("Label" if tag == "Labels" else "Choice"))
    labels = _paths(element, line) if tag == "Taxonomy" else _labels(choices)
    return ControlTag(
        tag=tag,
        name=name,
        to_name=element.get("toName", ""),
        labels=tuple(labels),
        choice=element.get("choice", "single"),
        required=element.get("required") == "true",
        per_region=element.get("perRegion") == "true",
        low=low,
        high=high,
        step=step if step and step > 0 else None,
        predicted={} if tag == "Taxonomy" else _predicted(choices, line),
    )


def _labels(elements: Iterable[Element]) -> list[str]:
    found = [element.get("alias") or element.get("value") for element in elements]
    return [label for label in found if label and not label.startswith("$")]


def _predicted(choices: Iterable[Element], line: int) -> dict[str, str]:
    """Other words -> the label that they stand for."""
    found: dict[str, str] = {}
    for choice in choices:
        for label in _labels([choice]):
            for said in filter(None, map(str.strip, choice.get("predicted_values", "").split(","))):
                if found.setdefault(said, label) != label:
                    raise SpecError(
                        f"labels.xml: {said!r} is a predicted value of {found[said]!r} and of {label!r}", line=line
                    )
    return found


def _paths(element: Element, line: int, above: str = "") -> list[str]:
    """Every choice of a Taxonomy, each before those below it."""
    found = []
    for child in element.findall("Choice"):
        for step in _labels([child]):
            if PATH in step:
                raise SpecError(f"labels.xml: the choice {step!r} holds {PATH!r}, which parts the steps", line=line)
            found += [above + step, *_paths(child, line, above + step + PATH)]
    return found


def _number(element: Element, name: str, line: int) -> float | None:
    if element.tag not in ("Number", "Rating") or (said := element.get(name)) is None:
        return None
    try:
        bound = float(said)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise SpecError(f"labels.xml: {name} of {element.get('name')!r} must be a number; it is {said!r}", line=line)
    return bound


def _answer(controls: Iterable[ControlTag]) -> ControlTag | None:
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
            raise SpecError(f"labels.xml: several {tag} ({names}); name the one that holds the label `label`")
        if of_tag:
            return of_tag[0]
    return None


def _text(answer: ControlTag, objects: Mapping[str, Element]) -> str:
    """The field of the Text that these Labels stand over."""
    over = objects.get(answer.to_name)
    fields = [] if over is None or over.tag != "Text" else _FIELD.findall(over.get("value", ""))
    if len(fields) != 1:
        what = answer.to_name if over is None else f"{over.tag} {answer.to_name}"
        raise SpecError(
            f"labels.xml: Labels {answer.name!r} stands over {what}; spans are read over one Text that shows one field "
            "of the data, such as value='$text'"
        )
    return str(fields[0])


def _words(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}"


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
    """Return the form for approval, correction and comment (`fields`), over what `show` names: {"text": "$text"}.

    The item comes first and is the largest thing on the page. With `why` among the fields the reason for asking is the
    last line. The correction is a choice among `labels`, the likeliest three first where there are many, or free text
    where they are not known. With approval the page
    shows the pipeline's answer and asks whether it is right. Without approval people simply choose the label.
    """
    kind = next(iter(show))
    shown = [f"    <{k.capitalize()} name={quoteattr(k)} value={quoteattr(v)}/>" for k, v in show.items()]
    lines = ["<View>", f"  <Style>{_STYLE}</Style>", '  <View className="labelloop-item">', *shown, "  </View>"]
    if "approval" in fields:
        lines += [
            f"  {_header('The pipeline says')}",
            f'  <Text name="{SHOWN_LABEL}" value="${SHOWN_LABEL}"/>',
            f'  <Choices name="verdict" toName="{kind}" choice="single-radio" required="true" showInline="true">',
            f'    <Choice value="{APPROVE}"/><Choice value="{REJECT}"/>',
            "  </Choices>",
        ]
    if "correction" in fields:
        guess = "learns from your answers" if "approval" in fields else "is in use"
        correction = [
            _header(f"What is right? If an answer is filled in, it is the guess of the model that {guess}."),
            *_correction(labels, kind),
        ]
        if "approval" in fields:
            visible = f'visibleWhen="choice-selected" whenTagName="verdict" whenChoiceValue="{REJECT}"'
            correction = [f"<View {visible}>", *("  " + line for line in correction), "</View>"]
        lines += ["  " + line for line in correction]
    if "comment" in fields:
        extra = 'rows="2" maxSubmissions="1" editable="true" placeholder="Comment (optional)"'
        lines.append(f'  <TextArea name="comment" toName="{kind}" {extra}/>')
    if "why" in fields:
        lines.append(f'  <View className="labelloop-why"><Header value="${SHOWN_WHY}" size="5"/></View>')
    return "\n".join([*lines, "</View>", ""])


def _header(words: str) -> str:
    return f'<Header value={quoteattr(words)} size="5" style="font-size: 14px"/>'


def _correction(labels: Sequence[str], kind: str) -> list[str]:
    if not labels:
        extra = 'required="true" rows="1" maxSubmissions="1" editable="true" placeholder="What it should be"'
        return [f'<TextArea name="correction" toName="{kind}" {extra}/>']
    choices = [
        f'<Choices name="correction" toName="{kind}" choice="single-radio" required="true" showInline="true">',
        *(f"  <Choice value={quoteattr(label)}/>" for label in labels),
        "</Choices>",
    ]
    if len(labels) <= MANY_LABELS:
        return choices
    return [
        f'<Choices name="quick" toName="{kind}" choice="single-radio" showInline="true" value="${SHOWN_BEST}"/>',
        '<View visibleWhen="choice-unselected" whenTagName="quick">',
        *("  " + line for line in choices),
        "</View>",
    ]
