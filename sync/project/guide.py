"""Guide: the part of a project's instruction that explains the labels, by definitions and answered examples. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from html import escape

from labelloop.labeling.controls import Kind
from labelloop.labeling.kinds.labels import read_labels
from labelloop.spec.loop import LoopSpec

EXAMPLES = 2
"""Number of examples of a label."""
MOST_LABELS = 200
"""Largest number of labels in an instruction; those with a definition come first."""
MAX_EXAMPLE = 140
"""Largest number of characters of an example; a longer text is cut."""
_QUOTED = re.compile(r"<br><i>“([^<]*)”</i>")


def example_field(spec: LoopSpec) -> str | None:
    """Return the field whose texts can be examples; None if people see no text, or their answer is not a label."""
    if spec.config.kind not in (Kind.LABEL, Kind.LABELS):
        return None
    return next((name for name in spec.config.data_fields if name not in spec.config.addresses), None)


def guide(spec: LoopSpec, examples: Mapping[str, Sequence[str]]) -> str:
    """Return HTML that lists the labels, each with its definition and its examples; "" if no label has either.

    `examples` has texts by answer, as answers are stored. A text is shown as text, whatever it holds.
    """
    known = {_label(spec, answer): texts for answer, texts in examples.items()}
    explained = [label for label in spec.labels if label in spec.definitions or known.get(label)]
    if not explained:
        return ""
    shown = sorted(explained, key=lambda label: label not in spec.definitions)[:MOST_LABELS]
    lines = [
        _of_label(label, spec.definitions.get(label, ""), known.get(label, ()))
        for label in spec.labels
        if label in shown
    ]
    left = len(explained) - len(shown)
    return f"<br><h3>Labels</h3>{''.join(lines)}" + (f"<p>{left} more labels have examples.</p>" if left else "")


def without_examples(instruction: str, texts: Collection[str]) -> str:
    """Return the instruction without the examples that show one of these texts. All other words stay as they are."""
    shown = {escape(_cut(text)) for text in texts}
    return _QUOTED.sub(lambda found: "" if found[1] in shown else found[0], instruction)


def _of_label(label: str, definition: str, examples: Sequence[str]) -> str:
    meaning = f": {escape(definition)}" if definition else ""
    quoted = "".join(f"<br><i>“{escape(_cut(text))}”</i>" for text in examples[:EXAMPLES])
    return f"<p><b>{escape(label)}</b>{meaning}{quoted}</p><br>"


def _label(spec: LoopSpec, answer: str) -> str | None:
    """Return the label of an answer; None if it has no label, or several."""
    if spec.config.kind is Kind.LABEL:
        return answer
    labels = read_labels(answer)
    return labels[0] if len(labels) == 1 else None


def _cut(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= MAX_EXAMPLE else words[: MAX_EXAMPLE - 1].rstrip() + "…"
