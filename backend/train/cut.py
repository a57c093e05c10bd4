"""The cut of a run: which of the answers teach, which judge, which are left out, and what must be said of that."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from backend.learners import Learner
from labelloop.answers.consensus import certainty
from labelloop.errors import Unreadable
from labelloop.reading.addresses import looks_like_address
from labelloop.reading.paths import value_at
from labelloop.selection import likeness
from labelloop.spec.loop import LoopSpec
from labelloop.threads import one_thread
from labelloop.versions.items import AnsweredItem, ItemToLabel, TrainingItem

T = TypeVar("T", bound=TrainingItem | ItemToLabel)
FEW = 5
"""Held-out answers with a label below which nothing is said of that label: of 4, even all right is a 95 % interval
down to 51 % (Wilson)."""
NAMED = 5
"""Labels or items that a note names; of more it says how many."""


@dataclass(frozen=True, slots=True)
class Cut:
    taught: list[AnsweredItem]
    """Each with its `weight`."""
    judged: list[AnsweredItem]
    notes: list[str]
    """Sentences for people: what was left out, and what the hold-out is too small for."""


def divide(spec: LoopSpec, learner: Learner, field: str, rows: Sequence[AnsweredItem]) -> Cut:
    """The answers up to the cut, in the order of the keys, as `run_items.answered` has them.

    The hold-out was fixed by a hash before any answer was there, so whatever is alike on both sides goes from training.
    """
    rows, notes = _still_asked(spec, rows)
    judged = [row for row in rows if row.holdout]
    taught = [row for row in rows if not row.holdout]
    # What annotators see of a row of a table is no copy where it is the same in another row.
    taught, more = _apart(taught, judged, None if spec.learner.reads == "tabular" else field)
    notes += more
    taught, more = readable(learner, taught)
    notes += more
    notes += _rare(spec, judged)
    return Cut([replace(row, weight=weight(row)) for row in taught], judged, notes)


def weight(row: AnsweredItem) -> float:
    """How much an answer counts: how sure it is that most people would give it."""
    return certainty(1.0 if row.agreement is None else row.agreement, row.reviewers)


def readable(learner: Learner, rows: list[T]) -> tuple[list[T], list[str]]:
    """The rows that the learner can read, and a note about the others: one bad item must not stop the loop for good."""
    try:
        learner.check([row.data for row in rows])
    except Unreadable as exc:
        named = Unreadable(exc.faults, [row.key for row in rows])
        good = [row for position, row in enumerate(rows) if position not in exc.faults]
        return good, [f"{len(exc.faults)} of {len(rows)} answers left out, they cannot be read: {named}"]
    return rows, []


def labels_in(label: str, known: Sequence[str]) -> list[str]:
    """The labels that an answer names: itself, or those of a list of labels or of spans [start, end, label]."""
    if label in known or not label.startswith("["):
        return [label]
    try:
        parts = json.loads(label)
    except ValueError:
        return [label]
    return [str(part[-1]) if isinstance(part, list) and part else str(part) for part in parts]


def _still_asked(spec: LoopSpec, rows: Sequence[AnsweredItem]) -> tuple[list[AnsweredItem], list[str]]:
    """Without the answers whose label is none of the config's any more, on both sides."""
    known = set(spec.labels)
    if not known:  # numbers have no labels
        return list(rows), []
    gone: Counter[str] = Counter()
    kept = []
    for row in rows:
        left = [label for label in labels_in(row.label, spec.labels) if label not in known]
        gone.update(left)
        if not left:
            kept.append(row)
    if not gone:
        return kept, []
    return kept, [
        f"{len(rows) - len(kept)} answers left out, their labels are not in the labeling config any more: {_list(gone)}"
    ]


def _apart(
    taught: list[AnsweredItem], judged: list[AnsweredItem], field: str | None
) -> tuple[list[AnsweredItem], list[str]]:
    """What may teach: without the groups of the hold-out, and without copies and near-duplicates of its items.

    `field`: what copies are known by; None: by nothing.
    """
    groups = {row.group_key for row in judged}
    copies = _copies(
        *([None if field is None else value_at(row.data, field) for row in rows] for rows in (taught, judged))
    )
    kept = [row for row, copy in zip(taught, copies, strict=True) if copy is None and row.group_key not in groups]
    if len(kept) == len(taught):
        return taught, []
    of_groups = sum(row.group_key in groups for row in taught)
    reasons = [f"{of_groups} share a group with held-out items"] if of_groups else []
    twins = [
        f"{row.key} of {judged[copy].key}"
        for row, copy in zip(taught, copies, strict=True)
        if copy is not None and row.group_key not in groups
    ]
    if twins:
        reasons.append(f"{len(twins)} are copies or near-duplicates of held-out items ({_list(twins)})")
    left_out = f"{len(taught) - len(kept)} of {len(taught)} answers left out of training"
    return kept, [f"{left_out}: {', '.join(reasons)}"]


def _copies(taught: Sequence[object], judged: Sequence[object]) -> list[int | None]:
    """For each value the position of a held-out one that is nearly the same text, or the same picture."""
    where = {value: position for position, value in reversed(list(enumerate(judged))) if isinstance(value, str)}
    found = [where.get(value) if isinstance(value, str) else None for value in taught]
    ours = [i for i, value in enumerate(taught) if _is_text(value) and found[i] is None]
    theirs = [i for i, value in enumerate(judged) if _is_text(value)]
    texts, others = [str(taught[i]) for i in ours], [str(judged[i]) for i in theirs]
    with one_thread:
        near = likeness.near(list(map(likeness.plain, texts)), list(map(likeness.plain, others)))
        for i, text, close in zip(ours, texts, near, strict=True):
            found[i] = next((theirs[other] for other in close if _ends_alike(text, others[other])), None)
    return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not looks_like_address(value)


def _ends_alike(text: str, other: str) -> bool:
    """Long texts that begin alike, as letters with the same head do, are copies only if they end alike too."""
    if max(len(text), len(other)) <= likeness.SEEN:
        return True
    ends = (likeness.plain(text[-likeness.SEEN :]), likeness.plain(other[-likeness.SEEN :]))
    return any(True for found in likeness.near(ends[:1], ends[1:]) for _ in found)


def _rare(spec: LoopSpec, judged: Sequence[AnsweredItem]) -> list[str]:
    """Which labels the hold-out cannot judge; where nothing is held out the gate says so itself."""
    if not judged:
        return []
    counts = Counter(label for row in judged for label in set(labels_in(row.label, spec.labels)))
    none = [label for label in spec.labels if not counts[label]]
    few = [f"{label} ({counts[label]})" for label in spec.labels if 0 < counts[label] < FEW]
    notes = [f"no held-out answer of {_list(none)}: how well they are told is not known"] if none else []
    if few:
        notes.append(f"fewer than {FEW} held-out answers of {_list(few)}: too few to judge these labels by")
    return notes


def _list(what: Sequence[str] | Counter[str]) -> str:
    words = [f"{label} ({n})" for label, n in what.most_common()] if isinstance(what, Counter) else list(what)
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return ", ".join(words[:NAMED]) + more
