"""The form that labelloop generates for a loop without labels.xml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

from labelloop.labeling.config import APPROVE, REJECT, SHOWN_BEST, SHOWN_LABEL, SHOWN_STEPS, SHOWN_WHY

MANY_LABELS = 9
"""Largest number of labels shown in order, one for each digit key. With more, the most probable ones come first."""

_STYLE = (
    ".labelloop-item { margin-bottom: 16px } .labelloop-item * { font-size: 20px; line-height: 1.5 } "
    ".labelloop-why * { font-size: 13px; font-weight: 400; opacity: 0.8 }"
)
"""Style of the generated form: the item is larger than everything else, the reason is smaller."""
_STEPS_STYLE = (
    " .labelloop-steps { max-height: 35vh; overflow-y: auto; margin-bottom: 16px; opacity: 0.8 } "
    ".labelloop-steps { display: flex; flex-direction: column-reverse }"
)
"""Style of the steps before the item. A box of reversed columns is scrolled to its end, where the last step is."""


def generate_form(labels: Sequence[str], fields: Sequence[str], show: Mapping[str, str], *, steps: bool = False) -> str:
    """Return the form for approval, correction and comment (`fields`), over the fields in `show`: {"text": "$text"}.

    The item comes first and is the largest thing on the page. With `why` in `fields`, the reason why the item is a task
    is the last line. The correction is a choice among `labels`, or free text if they are not known. If there are many
    labels, the three most probable come first.

    With approval, the page shows the pipeline's answer and asks whether it is correct. Without approval, people choose
    the label. With `steps`, the earlier outputs of its trace are above the item.
    """
    kind = next(iter(show))
    shown = [f"    <{k.capitalize()} name={quoteattr(k)} value={quoteattr(v)}/>" for k, v in show.items()]
    lines = ["<View>", f"  <Style>{_STYLE}{_STEPS_STYLE if steps else ''}</Style>"]
    if steps:
        lines += [
            f"  {_header('Steps before')}",
            '  <View className="labelloop-steps">',
            f'    <Text name="{SHOWN_STEPS}" value="${SHOWN_STEPS}"/>',
            "  </View>",
        ]
    lines += ['  <View className="labelloop-item">', *shown, "  </View>"]
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
