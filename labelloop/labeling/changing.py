"""Check a wanted change of labels against the labels of today, and find what it says. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from labelloop.errors import UsageError
from labelloop.labeling.config import LabelingConfig
from labelloop.labeling.controls import Former, Kind
from labelloop.labeling.former import ChangeKind, LabelChange, became, in_force, said, words
from labelloop.reading.nearest import did_you_mean


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change that a person wants, or an undo, before it is carried out."""

    kind: ChangeKind
    labels: Sequence[str]
    becomes: Sequence[str]
    ask: bool = False
    """Whether people are asked again about what had a retired label."""

    @property
    def words(self) -> str:
        return words(self.kind, self.labels, self.becomes)

    def says(self, created: Sequence[str], changes: Sequence[LabelChange]) -> dict[str, Former | None]:
        """Return what the change says about each label."""
        found = became(self.kind, self.labels, self.becomes, said(changes), ask=self.ask)
        return {label: None for label in created if label in said(changes)} | found


def check_supported(config: LabelingConfig, control: str | None) -> None:
    """Raise UsageError unless the answer is one label of one Choices, and `control` is that one or None."""
    answer = config.answer
    if answer.tag != "Choices" or answer.kind is not Kind.LABEL or answer.nested or not answer.labels:
        raise UsageError(
            f"labels can be changed where the answer is one label of one Choices; here it is {answer.kind.words} "
            f"({answer.words})"
        )
    if control is not None and control != answer.name:
        known = [one.name for one in config.controls]
        what = "is not the control with the answer" if control in known else "is no control of the form"
        raise UsageError(f"--control {control!r} {what}; that is {answer.name!r}")


def is_done(wanted: Wanted, labels: Collection[str], changes: Sequence[LabelChange]) -> bool:
    """Whether the change holds already. `labels`: those of today."""
    former = said(changes)
    asks = wanted.kind is ChangeKind.SPLIT or wanted.ask
    gone = [label for label in wanted.labels if label not in wanted.becomes]
    return bool(gone) and all(
        label not in labels and former.get(label) == Former(tuple(wanted.becomes), asks) for label in gone
    )


def check(
    wanted: Wanted, labels: Collection[str], forms: Sequence[Collection[str]], changes: Sequence[LabelChange]
) -> list[str]:
    """Return the labels that the change creates. Raises UsageError if it cannot be carried out.

    `labels`: those of today. `forms`: those of each form that the loop has had. A label that only they have was taken
    out of the files by hand, or by a command that was killed before it was stored.
    """
    former = in_force(changes)
    by_hand = not set(wanted.labels) & set(labels)
    had = [label for form in forms if set(wanted.labels) & set(form) for label in form] if by_hand else labels
    new = [label for label in wanted.becomes if label not in had]
    for given, name in ((wanted.labels, "label"), (wanted.becomes, "new label")):
        if len(set(given)) < len(given):
            raise UsageError(f"a {name} is named twice: {', '.join(given)}")
    for label in wanted.labels:
        if label in labels:
            continue
        if (one := former.get(label)) is not None:
            now = f"became {' and '.join(map(repr, one.to))}" if one.to else "was retired"
            raise UsageError(f"{label!r} is no label any more: it {now}; `labelloop schema show` lists the changes")
        if not any(label in form for form in forms):
            raise UsageError(f"no label {label!r}{did_you_mean(label, labels)}; there are: {', '.join(labels)}")
    _check_kind(wanted, had)
    for label in new:
        one = former.get(label)
        if one is not None and set(one.to) != set(wanted.labels):
            raise UsageError(
                f"{label!r} was a label before, and answers with it would count again: choose another name, or "
                "`labelloop schema undo`"
            )
    return new


def _check_kind(wanted: Wanted, labels: Collection[str]) -> None:
    """Raise UsageError if the numbers of labels do not fit the kind of change, or if no label would be left."""
    kind, old, new = wanted.kind, wanted.labels, wanted.becomes
    if kind is ChangeKind.RENAME and new[0] == old[0]:
        raise UsageError(f"{old[0]!r} is the old name and the new one: give another new name")
    if kind is ChangeKind.RENAME and new[0] in labels:
        raise UsageError(
            f"{new[0]!r} is a label already: `labelloop schema merge {old[0]} {new[0]} --into {new[0]}` makes one of "
            "the two"
        )
    if kind is ChangeKind.MERGE and len(old) < 2:
        raise UsageError("merge takes two labels or more; `labelloop schema rename` gives one label another name")
    if kind is ChangeKind.SPLIT and len(new) < 2:
        raise UsageError("split takes --into twice or more; `labelloop schema rename` gives one label another name")
    if kind is ChangeKind.SPLIT and old[0] in new:
        raise UsageError(
            f"{old[0]!r} cannot be one of its parts: nobody could tell its old answers from new ones. Give each part "
            "a new name"
        )
    if not (set(labels) - set(old)) | set(new):
        raise UsageError(f"{old[0]!r} is the last label, and a form needs one")
