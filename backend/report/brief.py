"""Brief: the short text of an answer, for tables that people read. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from labelloop.labeling import kinds
from labelloop.labeling.controls import MARKING, ControlTag, Kind
from labelloop.labeling.kinds.marked import LABEL
from labelloop.labeling.kinds.reading import json_of

LONGEST = 80
"""Characters shown of an answer to one control."""
_ONE = {
    Kind.SPANS: "span",
    Kind.MARKS: "span",
    Kind.REGIONS: "region",
    Kind.SEGMENTS: "segment",
    Kind.TRACKS: "track",
    Kind.RELATIONS: "relation",
}
"""A part of such an answer that has no label."""


def brief(control: ControlTag, answer: str | None) -> str:
    """Return the answer in a few words: the number of regions by label, or the text, cut to LONGEST characters.

    Answers to several controls follow one another, each after the name of its control. None is "nothing".
    """
    if answer is None:
        return "nothing"
    try:
        if control.kind is Kind.FORM:
            return _of_form(control, answer)
        return cut(_words(control, answer))
    except (AttributeError, LookupError, TypeError, ValueError):
        return cut(answer)  # it cannot be read as an answer of today's form


def cut(text: str, longest: int = LONGEST) -> str:
    """Return the text in one line; of a longer one the beginning, and how long it is."""
    line = " ".join(text[: 2 * longest].split())
    if len(text) <= longest and len(line) <= longest:
        return line
    return f"{line[:longest].rstrip()}... ({len(text):,} characters)"


def _of_form(control: ControlTag, answer: str) -> str:
    answers = kinds.form.read(answer)
    given = [part for part in control.parts if part.name in answers]
    return "; ".join(f"{part.name}: {brief(part, kinds.as_text(answers[part.name]))}" for part in given) or "nothing"


def _words(control: ControlTag, answer: str) -> str:
    kind = control.kind
    if kind is Kind.SPANS:
        return _counted(kind, (one.label for one in kinds.spans.read_spans(answer)))
    if kind in MARKING:
        return _counted(kind, (one.get(LABEL, "") for one in json_of(answer)))
    if kind is Kind.RELATIONS:
        return _counted(kind, (", ".join(one.get("labels", ())) for one in kinds.relations.read(answer)))
    if kind is Kind.LABELS:
        return ", ".join(kinds.labels.read_labels(answer)) or "none of them"
    if kind is Kind.ORDER:
        lists = kinds.order.read(control, answer)
        return "; ".join(f"{name}: {', '.join(ids)}" if name else ", ".join(ids) for name, ids in lists.items())
    return answer


def _counted(kind: Kind, labels: Iterable[str]) -> str:
    """Return the number of parts by label, the most frequent label first: "3 square, 1 disc"."""
    counts = sorted(Counter(labels).items(), key=lambda pair: (-pair[1], pair[0]))
    if not counts:
        return f"no {_ONE[kind]}s"
    return ", ".join(f"{n} {label or (_ONE[kind] if n == 1 else f'{_ONE[kind]}s')}" for label, n in counts)
