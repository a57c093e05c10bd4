"""The form that labelloop generates for a loop without labels.xml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

from labelloop.labeling.config import APPROVE, REJECT, SHOWN_BEST, SHOWN_LABEL, SHOWN_STEPS, SHOWN_WHY

MANY_LABELS = 9
"""Largest number of labels shown in order, one for each digit key. With more, the most probable ones come first."""
BEST = 5
"""Number of the most probable labels that the form for many labels shows large; their keys are 1 to 5."""
SEARCH_KEY = "/"
_LETTERS = "qwetasdfgzxcvbyiopjklnm"
"""Letters that Label Studio's editor gives to choices by itself: it has no other use for them (Hotkey.makeComb)."""
REST_KEYS = (
    *"67890",
    *_LETTERS,
    *(f"shift+{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
)
"""Keys of the other labels of the form for many labels, in the order of the labels. Labels beyond have none.

Neither the editor (core/settings/keymap.json of 1.23) nor a browser has another use for them.
"""

_STYLE = " ".join(
    (
        ".labelloop-form { display: flex; flex-direction: column }",
        ".labelloop-item { margin-bottom: 16px } .labelloop-item * { font-size: 20px; line-height: 1.5 }",
        ".labelloop-comment { order: 1 }",
        ".labelloop-why { order: 2 } .labelloop-why * { font-size: 13px; font-weight: 400; opacity: 0.8 }",
    )
)
"""Style of the generated form: the item is larger than everything else, the reason is smaller and the last line.

The comment is before the choices in the form, so that the Tab key leads to it, and below them on the page. A style must
not hold the sign >, which Label Studio escapes.
"""
_STEPS_STYLE = (
    " .labelloop-steps { max-height: 35vh; overflow-y: auto; margin-bottom: 16px; opacity: 0.8 } "
    ".labelloop-steps { display: flex; flex-direction: column-reverse }"
)
"""Style of the steps before the item. A box of reversed columns is scrolled to its end, where the last step is."""
_MANY_STYLE = " " + " ".join(
    (
        ".labelloop-many { display: flex; flex-direction: column }",
        ".labelloop-search { order: -1; max-width: 480px }",
        ".labelloop-many .lsf-choices { display: flex; flex-wrap: wrap; gap: 8px; margin: 8px 0 }",
        ".labelloop-many .lsf-choice { border: 1px solid rgba(128, 128, 128, 0.45); border-radius: 6px; margin: 0 }",
        ".labelloop-many .lsf-choice { padding: 8px 14px; font-size: 17px }",
        ".labelloop-many .lsf-choice * { font-size: inherit; white-space: normal; overflow-wrap: anywhere }",
        ".labelloop-many .lsf-choice sup { font-size: 10px }",
        ".labelloop-rest { order: 1; width: 100%; max-height: 42vh; overflow-y: auto }",
        ".labelloop-rest { display: flex; flex-wrap: wrap }",
        ".labelloop-rest { align-content: flex-start; row-gap: 2px }",
        ".labelloop-rest .lsf-choice { width: 250px; border: none; padding: 2px 6px; font-size: 13px }",
        ".labelloop-rest .lsf-choice:has(:checked) { position: sticky; top: 0; bottom: 0; z-index: 1 }",
        ".labelloop-rest .lsf-choice:has(:checked) { background: var(--color-neutral-background, Canvas) }",
    )
)
"""Style of many labels: the most probable ones are large and first, the others are in a box that scrolls. A chosen
label stays at the edge of the box when it would scroll away.
"""


def generate_form(
    labels: Sequence[str],
    fields: Sequence[str],
    show: Mapping[str, str],
    *,
    steps: bool = False,
    hints: Mapping[str, str] | None = None,
    former: bool = False,
) -> str:
    """Return the form for approval, correction and comment (`fields`), over the fields in `show`: {"text": "$text"}.

    The item comes first and is the largest thing on the page. With `why` in `fields`, the reason why the item is a task
    is the last line. The correction is a choice among `labels`, or free text if they are not known. `hints` has the
    definition of a label, which appears when the mouse rests on it. With `steps`, the earlier outputs of the item's
    trace are above it.

    With approval, the page shows the pipeline's answer and asks whether it is correct. Without approval, people choose
    the label. With more than MANY_LABELS labels they choose it in any case: the choice is an approval if it is the
    pipeline's answer. The BEST most probable labels of each item come first, and the others can be searched.

    `former` gives many labels the form that they had before: Label Studio refuses a form without the controls that the
    answers of a project use.
    """
    kind = next(iter(show))
    many = len(labels) > MANY_LABELS and "correction" in fields
    asks_approval = "approval" in fields and (former or not many)
    style = _STYLE + (_STEPS_STYLE if steps else "") + (_MANY_STYLE if many and not former else "")
    lines = ['<View className="labelloop-form">', f"  <Style>{style}</Style>"]
    if steps:
        lines += [
            f"  {_header('Steps before')}",
            '  <View className="labelloop-steps">',
            f'    <Text name="{SHOWN_STEPS}" value="${SHOWN_STEPS}"/>',
            "  </View>",
        ]
    shown = [f"    <{k.capitalize()} name={quoteattr(k)} value={quoteattr(v)}/>" for k, v in show.items()]
    lines += ['  <View className="labelloop-item">', *shown, "  </View>"]
    comment = [] if "comment" not in fields else ["  " + line for line in _comment(kind)]
    if labels:
        lines += comment
    if asks_approval:
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
            *_correction(labels, kind, hints or {}, former=former),
        ]
        if asks_approval:
            visible = f'visibleWhen="choice-selected" whenTagName="verdict" whenChoiceValue="{REJECT}"'
            correction = [f"<View {visible}>", *("  " + line for line in correction), "</View>"]
        lines += ["  " + line for line in correction]
    if not labels:
        lines += comment
    if "why" in fields:
        lines.append(f'  <View className="labelloop-why"><Header value="${SHOWN_WHY}" size="5"/></View>')
    return "\n".join([*lines, "</View>", ""])


def best_choices(labels: Sequence[str], hints: Mapping[str, str]) -> list[dict[str, str]]:
    """Return these labels as choices from a task's data, with the keys 1, 2 and so on."""
    keyed = [(label, {"hotkey": str(i)} if i <= BEST else {}) for i, label in enumerate(labels, start=1)]
    return [{"value": label, **key, **({"hint": hints[label]} if hints.get(label) else {})} for label, key in keyed]


def _header(words: str) -> str:
    return f'<Header value={quoteattr(words)} size="5" style="font-size: 14px"/>'


def _comment(kind: str) -> list[str]:
    extra = 'rows="2" maxSubmissions="1" editable="true" placeholder="Comment (optional)"'
    return ['<View className="labelloop-comment">', f'  <TextArea name="comment" toName="{kind}" {extra}/>', "</View>"]


def _correction(labels: Sequence[str], kind: str, hints: Mapping[str, str], *, former: bool) -> list[str]:
    if not labels:
        extra = 'required="true" rows="1" maxSubmissions="1" editable="true" placeholder="What it should be"'
        return [f'<TextArea name="correction" toName="{kind}" {extra}/>']
    many = len(labels) > MANY_LABELS
    keys = ("",) * len(labels)
    if many and not former:
        keys = (*REST_KEYS, *keys)[: len(labels)]
    shown = [_choice(label, key, hints.get(label, "")) for label, key in zip(labels, keys, strict=True)]
    choices = f'<Choices name="correction" toName="{kind}" choice="single-radio" required="true"'
    if not many:
        return [f'{choices} showInline="true">', *("  " + line for line in shown), "</Choices>"]
    if former:
        return [
            f'<Choices name="quick" toName="{kind}" choice="single-radio" showInline="true" value="${SHOWN_BEST}"/>',
            '<View visibleWhen="choice-unselected" whenTagName="quick">',
            f'  {choices} showInline="true">',
            *("    " + line for line in shown),
            "  </Choices>",
            "</View>",
        ]
    # The editor adds the choices of the task's data after those of the form, as choices of the same control. The search
    # is behind the choices, so that Tab leads from it to the buttons, where Ctrl+Enter submits. It does not clear
    # itself (cleanup): a second Enter in it would then choose the first label of the whole list.
    search = f'toName="correction" hotkey="{SEARCH_KEY}" minlength="1" cleanup="false"'
    placeholder = quoteattr(f"Search the {len(labels)} labels: press {SEARCH_KEY}, type, press Enter")
    return [
        '<View className="labelloop-many">',
        f'  {choices} value="${SHOWN_BEST}">',
        '    <View className="labelloop-rest">',
        *("      " + line for line in shown),
        "    </View>",
        "  </Choices>",
        f'  <View className="labelloop-search"><Filter name="search" {search} placeholder={placeholder}/></View>',
        "</View>",
    ]


def _choice(label: str, key: str, hint: str) -> str:
    hotkey = f" hotkey={quoteattr(key)}" if key else ""
    return f"<Choice value={quoteattr(label)}{hotkey}{f' hint={quoteattr(hint)}' if hint else ''}/>"
