"""The cut of a run: divides the answers into training set and hold-out set, and notes which answers are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from backend.learners import Learner
from labelloop.answers.consensus import certainty
from labelloop.errors import Unreadable
from labelloop.labeling import kinds
from labelloop.labeling.config import LabelingConfig
from labelloop.reading.addresses import looks_like_address
from labelloop.reading.paths import value_at
from labelloop.reading.texts import text_of
from labelloop.selection import likeness
from labelloop.spec.loop import LoopSpec
from labelloop.threads import one_thread
from labelloop.versions.items import AnsweredItem, ItemToLabel, TrainingItem

Item = TypeVar("Item", bound=TrainingItem | ItemToLabel)
Trained = TypeVar("Trained", bound=TrainingItem)
MIN_HELD_OUT_PER_LABEL = 5
"""Held-out answers that a label needs to be evaluated. With 4, all correct, the 95 % interval still reaches down to
51 % (Wilson)."""
TRAINING, HOLDOUT = "training", "the hold-out set"
"""Names of the two parts, for notes."""
MAX_NAMED = 5
"""Labels or items that a note names; it gives the number of the others."""


@dataclass(frozen=True, slots=True)
class Cut:
    training: list[AnsweredItem]
    """Training set; each row with its `weight`."""
    held_out: list[AnsweredItem]
    """Hold-out set."""
    notes: list[str]
    """Notes for the run's report: the answers left out, and the labels that the hold-out set is too small for."""


def divide(spec: LoopSpec, learner: Learner, field: str, rows: Sequence[AnsweredItem]) -> Cut:
    """Divide the answers up to the cut; `rows` are in the order of their keys, as `run_items.answered` returns them.

    A hash fixed the hold-out set before any answer existed, so an item that is alike on both sides leaves the training
    set.
    """
    rows, notes = with_known_labels(spec, rows)
    held_out = [row for row in rows if row.holdout]
    training = [row for row in rows if not row.holdout]
    # Rows of a table may show annotators the same text and still differ in their other fields.
    training, more = without_leaks(training, held_out, None if spec.learner.reads == "tabular" else field)
    notes += more
    training, more = readable(learner, training)
    notes += more
    notes += _rare(spec, held_out)
    return Cut([replace(row, weight=weight(row)) for row in training], held_out, notes)


def held_out_now(
    spec: LoopSpec, field: str, rows: Sequence[AnsweredItem], trained_on: Sequence[TrainingItem]
) -> tuple[list[AnsweredItem], list[str]]:
    """Return the held-out answers that may judge a version which exists already, and notes on those left out.

    Answers that came later can be copies of what it was trained on, or share a group with it.
    """
    rows, notes = with_known_labels(spec, rows)
    kept, more = without_leaks(rows, trained_on, None if spec.learner.reads == "tabular" else field, HOLDOUT)
    return kept, notes + more


def weight(row: AnsweredItem) -> float:
    """Return the weight of an answer in training: the certainty that it is correct, where people's quality is
    estimated; else the certainty that most people would give it.
    """
    if row.certainty is not None:
        return row.certainty
    return certainty(1.0 if row.agreement is None else row.agreement, row.reviewers)


def readable(learner: Learner, rows: list[Item]) -> tuple[list[Item], list[str]]:
    """Return the rows that the learner can read, and a note on the others, so that a bad item never stops the loop."""
    try:
        learner.check([row.data for row in rows])
    except Unreadable as exc:
        named = Unreadable(exc.faults, [row.key for row in rows])
        good = [row for position, row in enumerate(rows) if position not in exc.faults]
        return good, [f"{len(exc.faults)} of {len(rows)} answers left out, the learner cannot read them: {named}"]
    return rows, []


def with_known_labels(spec: LoopSpec, rows: Sequence[Trained]) -> tuple[list[Trained], list[str]]:
    """Leave out the answers with a label that was removed from the labeling config; return a note on them."""
    known = set(spec.labels)
    if not known:  # numbers have no labels
        return list(rows), []
    gone: Counter[str] = Counter()
    kept = []
    for row in rows:
        left = [label for label in labels_in(spec.config, row.label) if label not in known]
        gone.update(left)
        if not left:
            kept.append(row)
    if not gone:
        return kept, []
    return kept, [
        f"{len(rows) - len(kept)} answers left out, their labels are no longer in the labeling config: {_list(gone)}"
    ]


def without_leaks(
    rows: list[Trained], others: Sequence[TrainingItem], field: str | None, part: str = TRAINING
) -> tuple[list[Trained], list[str]]:
    """Leave out of `rows` the groups of the others, and the copies and near-duplicates of those items.

    `field`: the field of the data that copies are found by; None if copies are not looked for. `part` names the rows.
    """
    groups = {row.group_key for row in others}
    values = [
        [None if field is None else text_of(value_at(row.data, field)) for row in some] for some in (rows, others)
    ]
    copies = _copies(*values)
    in_groups = [row for row in rows if row.group_key in groups]
    alone = [(row, copy) for row, copy in zip(rows, copies, strict=True) if row.group_key not in groups]
    kept = [row for row, copy in alone if copy is None]
    twins = [f"{row.key} of {others[copy].key}" for row, copy in alone if copy is not None]
    if len(kept) == len(rows):
        return rows, []
    of = "held-out items" if part == TRAINING else "training items"
    reasons = [f"{len(in_groups)} share a group with {of}"] if in_groups else []
    if twins:
        reasons.append(f"{len(twins)} are copies or near-duplicates of {of} ({_list(twins)})")
    return kept, [f"{len(rows) - len(kept)} of {len(rows)} answers left out of {part}: {', '.join(reasons)}"]


def labels_in(config: LabelingConfig, answer: str) -> list[str]:
    """Return the different labels that an answer names; the answer itself if it cannot be read."""
    if answer in config.labels:
        return [answer]
    try:
        return list(kinds.of(config.answer).labels_in(config.answer, answer))
    except ValueError:
        return [answer]


def _copies(training: Sequence[str | None], held_out: Sequence[str | None]) -> list[int | None]:
    """Return for each value the position of a held-out value that is nearly the same text, or the same picture.

    None if there is no such value.
    """
    where = {_content(value): i for i, value in reversed(list(enumerate(held_out))) if value is not None}
    found = [None if value is None else where.get(_content(value)) for value in training]
    ours = [i for i, value in enumerate(training) if _is_text(value) and found[i] is None]
    theirs = [i for i, value in enumerate(held_out) if _is_text(value)]
    texts, others = [str(training[i]) for i in ours], [str(held_out[i]) for i in theirs]
    with one_thread:
        near = likeness.near(list(map(likeness.plain, texts)), list(map(likeness.plain, others)))
        for i, text, close in zip(ours, texts, near, strict=True):
            found[i] = next((theirs[other] for other in close if _ends_alike(text, others[other])), None)
    return found


def _content(value: str) -> str:
    """Return the text, or the picture in a `data:` URI without how it was kept: another address of it may differ."""
    return value.rpartition(",")[2] if value.startswith("data:") else value


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not looks_like_address(value)


def _ends_alike(text: str, other: str) -> bool:
    """Whether long texts that begin alike also end alike: letters with the same letterhead are no copies."""
    if max(len(text), len(other)) <= likeness.SEEN:
        return True
    ends = (likeness.plain(text[-likeness.SEEN :]), likeness.plain(other[-likeness.SEEN :]))
    return any(True for found in likeness.near(ends[:1], ends[1:]) for _ in found)


def _rare(spec: LoopSpec, held_out: Sequence[AnsweredItem]) -> list[str]:
    """Return notes on labels that the hold-out set cannot evaluate; none if it is empty, which the gate reports."""
    if not held_out:
        return []
    counts = Counter(label for row in held_out for label in labels_in(spec.config, row.label))
    none = [label for label in spec.labels if not counts[label]]
    few = [f"{label} ({counts[label]})" for label in spec.labels if 0 < counts[label] < MIN_HELD_OUT_PER_LABEL]
    notes = [f"no held-out answers with label {_list(none)}: accuracy on these labels is unknown"] if none else []
    if few:
        least = f"fewer than {MIN_HELD_OUT_PER_LABEL} held-out answers"
        notes.append(f"{least} with label {_list(few)}: too few to evaluate these labels")
    return notes


def _list(what: Sequence[str] | Counter[str]) -> str:
    words = [f"{label} ({n})" for label, n in what.most_common()] if isinstance(what, Counter) else list(what)
    more = f" and {len(words) - MAX_NAMED} more" if len(words) > MAX_NAMED else ""
    return ", ".join(words[:MAX_NAMED]) + more
