"""Former labels: what the changes of a loop's labels say about each label that its form does not have any more. Pure.

A change names labels, and what became of each. The newest change that names a label holds, so an undo is a change too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from labelloop.labeling.controls import Former


class ChangeKind(StrEnum):
    RENAME = "rename"
    MERGE = "merge"
    SPLIT = "split"
    RETIRE = "retire"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class LabelChange:
    """A row of label_changes."""

    id: int
    kind: ChangeKind
    labels: Sequence[str]
    becomes: Sequence[str]
    created: Sequence[str]
    """Those of `becomes` that the form did not have before."""
    became: Mapping[str, Former | None]
    """The meaning of each label by this change; None if the form has it again."""
    files: Mapping[str, Mapping[str, str]]
    """The changed files by name, each with its text `before` and `after`."""
    undoes: int | None
    by: str
    why: str
    at: datetime

    @property
    def words(self) -> str:
        return words(self.kind, self.labels, self.becomes)


def words(kind: ChangeKind, labels: Sequence[str], becomes: Sequence[str]) -> str:
    """Return a change as a part of a sentence: `'cat' became 'feline'`."""
    old = " and ".join(map(repr, labels))
    if kind is ChangeKind.UNDO:
        return f"{' and '.join(map(repr, becomes))} came back" + (
            f" for {old}" if list(labels) != list(becomes) else ""
        )
    return f"{old} became {' and '.join(map(repr, becomes))}" if becomes else f"{old} was retired"


def became(
    kind: ChangeKind, labels: Sequence[str], becomes: Sequence[str], raw: Mapping[str, Former], *, ask: bool = False
) -> dict[str, Former | None]:
    """Return what a change says about each label. `raw`: what the earlier ones say, `ask`: ask about retired labels."""
    again: dict[str, Former | None] = {label: None for label in becomes if label in raw}
    asks = kind is ChangeKind.SPLIT or (kind is ChangeKind.RETIRE and ask)
    return again | {label: Former(tuple(becomes), asks) for label in labels if label not in becomes}


def undone(change: LabelChange, earlier: Iterable[LabelChange]) -> dict[str, Former | None]:
    """Return what the undo of a change says. `earlier`: the changes before it.

    A label that the change created became the labels that it came from. If there were several, nobody knows which one
    is meant, so that people are asked again.
    """
    raw = said(earlier)
    back = Former(tuple(change.labels), ask=len(change.labels) > 1)
    return dict.fromkeys(change.created, back) | {label: raw.get(label) for label in change.became}


def said(changes: Iterable[LabelChange]) -> dict[str, Former]:
    """Return what the changes say about each former label, the newest last."""
    found: dict[str, Former | None] = {}
    for change in changes:
        found |= change.became
    return {label: former for label, former in found.items() if former is not None}


def in_force(changes: Iterable[LabelChange]) -> dict[str, Former]:
    """Return what became of each former label in the end: a label that became another one became what that became."""
    raw = said(changes)

    def end(label: str, seen: frozenset[str]) -> Former:
        former = raw[label]
        one = former.to[0] if len(former.to) == 1 and not former.ask else None
        return end(one, seen | {one}) if one in raw and one is not None and one not in seen else former

    return {label: end(label, frozenset([label])) for label in sorted(raw)}


def known_before(classes: Iterable[str], former: Mapping[str, Former]) -> list[str]:
    """Return what became of the labels of a version that are former ones by now: `'cat' became 'feline'`."""
    return [words(ChangeKind.RENAME, [label], former[label].to) for label in classes if label in former]


def newest_to_undo(changes: Sequence[LabelChange]) -> LabelChange | None:
    """Return the newest change that was not undone; None if there is none."""
    gone = {change.undoes for change in changes}
    return next((one for one in reversed(changes) if one.kind is not ChangeKind.UNDO and one.id not in gone), None)
