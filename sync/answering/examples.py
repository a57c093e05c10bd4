"""Examples for training a language model, in the shapes that TRL reads: what people approved, wrote and preferred.

sft   {"prompt", "completion"}          the best text for the prompt
dpo   {"prompt", "chosen", "rejected"}  the best text, and one that people found worse
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from labelloop.labeling import results
from labelloop.labeling.controls import Kind
from labelloop.reading import paths, strict_json
from labelloop.spec.examples import Examples
from labelloop.spec.loop import LoopSpec

SFT, DPO = "sft", "dpo"
NAMES = (SFT, DPO)
ROLES = ("system", "user", "assistant", "tool")
_ROLE_OF = {"tool call": "assistant"}
"""Roles of the authors that a dialogue of traces has and chat templates do not know; any other author is the system."""
ASKS = ("system", "user", "tool")
"""Authors whose turns are never part of the judged answer, even with the same text."""
WITHOUT_PROMPT = "without a prompt"
Messages = list[dict[str, str]]


@dataclass(slots=True)
class Tally:
    """Counts of an export, complete when its last line is read."""

    examples: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of agreed answers that gave no example, by the reason."""


def why_not(spec: LoopSpec) -> str | None:
    """Return the reason why the loop gives no examples; None if it gives them.

    Without the section `examples` it must show one text and ask for one label: the prompt and the completion.
    """
    if spec.examples is not None:
        return None
    shown, kind = spec.config.data_fields, spec.config.kind
    if kind is not Kind.LABEL:
        return f"needs a loop with one label as the answer, not {kind.words}"
    if len(shown) != 1 or shown[0] in spec.config.addresses:
        has = f"this one shows {', '.join(shown) or 'none'}"
        return f"needs a loop that shows one text, or the section `examples` in loop.yaml; {has}"
    return None


def lines(spec: LoopSpec, name: str, row: Mapping[str, Any], tally: Tally) -> Iterator[dict[str, Any]]:
    """Yield the examples in the format `name` of one agreed answer, and count it in `tally`.

    `row` has `data`, `model_label`, `answer`, and `written`: the results of the reviewers who gave the answer, the
    newest first.
    """
    made = _of_texts(spec, spec.examples, row) if spec.examples else _of_labels(spec, row)
    if isinstance(made, str):
        tally.left_out[made] += 1
        return
    prompt, best, others = made
    worse = [other for other in others if other.strip() != best.strip()]
    if name == DPO and not worse:
        tally.left_out["with no worse text"] += 1
        return
    tally.examples += 1 if name == SFT else len(worse)
    if name == SFT:
        yield {"prompt": prompt, "completion": _said(prompt, best)}
    else:
        for other in worse:
            yield {"prompt": prompt, "chosen": _said(prompt, best), "rejected": _said(prompt, other)}


Made = tuple[str | Messages, str, Sequence[str]]
"""The prompt, the best text, and all texts of the model."""


def _of_labels(spec: LoopSpec, row: Mapping[str, Any]) -> Made | str:
    """Return the label as the best text. Without a label of the model, there is no worse one."""
    prompt = _text(row["data"], spec.config.data_fields[0])
    return (prompt, row["answer"], [row["model_label"] or row["answer"]]) if prompt else WITHOUT_PROMPT


def _of_texts(spec: LoopSpec, examples: Examples, row: Mapping[str, Any]) -> Made | str:
    """Return the parts of the examples, or the reason why there are none."""
    answer = row["answer"]
    texts = {name: text for name in examples.fields if (text := _text(row["data"], name)) is not None}
    best = texts.get(examples.texts.get(answer, ""))
    if answer in examples.edits:
        area = next(control for control in spec.config.controls if control.name == examples.edits[answer])
        best = next(filter(None, (results.given(area, result) for result in row["written"])), None)
    if best is None or not best.strip():
        wants = answer in examples.texts or answer in examples.edits
        return f"answered {answer!r}{' without a text' if wants else ''}"
    prompt = _prompt(row["data"], examples.prompt, texts.values())
    if prompt is None:
        return "whose conversation ends with another answer"
    return (prompt, best, list(texts.values())) if prompt else WITHOUT_PROMPT


def _prompt(data: Mapping[str, Any], name: str, texts: Collection[str]) -> str | Messages | None:
    """Return the prompt: a text, or the messages before the judged answer; empty if there is none.

    None if the answer is not where they end.
    """
    found = paths.value_at(data, name)
    if not isinstance(found, list) or not all(
        isinstance(one, Mapping) and {"author", "role"} & one.keys() for one in found
    ):
        return _text(data, name) or ""
    turns = [
        (str(turn.get("author", turn.get("role"))), _as_text(turn.get("text", turn.get("content")))) for turn in found
    ]
    said_last = takewhile(lambda turn: turn[0] not in ASKS, reversed(turns))
    for n, _ in enumerate(said_last, start=1):
        if "\n\n".join(text for _, text in turns[-n:]) in texts:
            return _messages(turns[:-n])
    return None if turns and turns[-1][0] == "assistant" else _messages(turns)


def _messages(turns: Sequence[tuple[str, str]]) -> Messages:
    return [
        {"role": author if author in ROLES else _ROLE_OF.get(author, "system"), "content": text}
        for author, text in turns
    ]


def _said(prompt: str | Messages, text: str) -> str | Messages:
    """Return a text of the model in the form of the prompt: as a text, or as a message."""
    return text if isinstance(prompt, str) else _messages([("assistant", text)])


def _text(data: Mapping[str, Any], name: str) -> str | None:
    """Return the text of a field, any other value as JSON; None if the output came before the form showed the field."""
    found = paths.value_at(data, name)
    return None if found is None else _as_text(found)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else strict_json.dumps(value)
