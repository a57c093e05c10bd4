"""Spelled: the probability of a label in a generated text, from the log probabilities of the tokens that spell it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ALL = 0.99
"""Smallest share that the first tokens of all labels must have together, so that they are the labels' probabilities."""

MARKS = "\"'`*_\u201c\u201d\u201e\u201a\u2018\u2019\u00ab\u00bb \t\r\n"
"""Quotation marks, marks of Markdown and blanks, which models write around a label."""
ENDS = ".,;:!?\u3002"
"""Punctuation that models write after a label."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """A label, and its characters in the generated text."""

    label: str | None
    """None if the text names no label."""
    start: int = -1
    """Position of its first character; -1 if it is not known."""
    end: int = -1
    reason: str = ""
    """The reason why there is no label."""


def named(word: str, by_name: Mapping[str, str]) -> tuple[str, int, int] | None:
    """Return the label in a text, and the positions in it where the label begins and ends; None if it is no label.

    `by_name` has the labels by their casefolded text. MARKS around the label and ENDS after it are left out, unless
    they belong to the label.
    """
    for before, after in ((None, None), (MARKS, MARKS), (MARKS, MARKS + ENDS)):
        bare = word.lstrip(before).rstrip(after)
        if label := by_name.get(bare.casefold()):
            start = len(word) - len(word.lstrip(before))
            return label, start, start + len(bare)
    return None


def confidence_of(
    found: Spelled, text: str, tokens: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> dict[str, Any]:
    """Return the fields of an output: `probabilities`, else `label` with its `confidence`, None if it is not known.

    The confidence is the product over the tokens of `text` that hold a character of the label. Probabilities are given
    if the first of these tokens tells nearly all labels apart (ALL), and the label is the most probable one.
    """
    unknown = {"label": found.label, "confidence": None}
    places = _places(text, tokens)
    if found.label is None or found.start < 0 or places is None:
        return unknown
    first, last = len(text[: found.start].encode()), len(text[: found.end].encode())
    spelling = [i for i, (start, end) in enumerate(places) if start < last and end > first]
    if not spelling:
        return unknown
    if goes_on(found.label, labels) and places[spelling[-1]][1] == last:
        if spelling[-1] + 1 == len(tokens):
            return unknown  # the tokens may have begun a longer label
        spelling.append(spelling[-1] + 1)
    confidence = math.exp(min(0.0, math.fsum(float(tokens[i]["logprob"]) for i in spelling)))
    lead = text.encode()[places[spelling[0]][0] : first].decode(errors="replace")
    others = _others(found.label, lead, tokens[spelling[0]], labels)
    total = math.fsum((confidence, *others.values()))
    if len(others) > 0 and ALL <= total <= 2 - ALL and confidence >= max(others.values()):
        shares = {label: others.get(label, 0.0) for label in labels} | {found.label: confidence}
        return {"probabilities": {label: share / total for label, share in shares.items()}}
    return {"label": found.label, "confidence": confidence}


def _places(text: str, tokens: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]] | None:
    """Return the bytes of the text that each token covers; None if the tokens do not make up the text."""
    places, at = [], 0
    parts = [bytes([*token["bytes"]]) if token.get("bytes") else str(token["token"]).encode() for token in tokens]
    for part in parts:
        places.append((at, at + len(part)))
        at += len(part)
    return places if parts and b"".join(parts) == text.encode() else None


def goes_on(label: str, labels: Sequence[str]) -> bool:
    """Return whether another label begins with this one, as `billing` with `bill`."""
    begin = label.casefold()
    return any(other != label and other.casefold().startswith(begin) for other in labels)


def _others(label: str, lead: str, token: Mapping[str, Any], labels: Sequence[str]) -> dict[str, float]:
    """Return the probability of every other label that an alternative to the first token tells alone.

    `lead` is the part of the token before the label, such as a quotation mark.
    """
    found: dict[str, float] = {}
    for other in token.get("top_logprobs") or ():
        word = str(other["token"]).removeprefix(lead).strip(MARKS).rstrip(MARKS + ENDS).casefold()
        begun = [one for one in labels if word and one.casefold().startswith(word)]
        if len(begun) == 1 and begun[0] != label:
            found[begun[0]] = found.get(begun[0], 0.0) + math.exp(min(0.0, float(other["logprob"])))
    return found
