"""Steps: the outputs of the same trace that came before an item, as annotators see them above it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MOST_STEPS = 10
"""Largest number of steps that a task shows: the last ones before the item."""
MOST_LETTERS = 500
"""Largest number of characters of a step's data that a task shows."""
MOST_OF_LABEL = 200
NO_STEP = "There is no earlier step."


@dataclass(frozen=True, slots=True)
class Step:
    """An output, seen from a later output of its trace."""

    loop: str
    key: str
    step: str | None
    """Name of the step; None if the pipeline gave none."""
    place: int
    """Place in the trace, from 1."""
    text: str
    """The fields of its data that its own form shows, the first MOST_LETTERS characters."""
    length: int
    """Number of characters before `text` was cut."""
    label: str | None
    """The pipeline's label."""
    answered: bool
    """Whether its reviewers agree."""
    corrected: bool
    """Whether its reviewers agree that the pipeline's label is incorrect."""
    correction: str | None
    """The reviewers' label of a corrected step; None if they only rejected it."""

    @property
    def name(self) -> str:
        return self.step or self.key


def steps_text(steps: Sequence[Step], loop: str) -> str:
    """Return the steps as one text, in their order, with an empty line between two. It is never empty.

    `steps` are in the order of the trace; `loop` is the loop of the item. Label Studio refuses a task in which a shown
    field is missing, so a first step says that there is none before it.
    """
    if not steps:
        return NO_STEP
    left_out = steps[0].place - 1
    more = [f"{left_out:,} earlier step{' is' if left_out == 1 else 's are'} not shown."] if left_out else []
    return "\n\n".join([*more, *(f"{_title(step, loop)}\n{_words(step)}" for step in steps)])


def _title(step: Step, loop: str) -> str:
    elsewhere = "" if step.loop == loop else f" (loop {step.loop})"
    return f"{step.place}. {step.name}{elsewhere}"


def _words(step: Step) -> str:
    lines = [_cut(step.text, MOST_LETTERS, step.length)] if step.text else []
    if step.label is not None:
        lines.append(f"Label of the pipeline: {_cut(step.label, MOST_OF_LABEL)}")
    if step.corrected:
        said = "incorrect" if step.correction is None else _cut(step.correction, MOST_OF_LABEL)
        lines.append(f"Corrected by people: {said}")
    elif step.answered and step.label is not None:
        lines.append("Confirmed by people")
    return "\n".join(lines) or "(nothing to show)"


def _cut(text: str, most: int, length: int | None = None) -> str:
    more = (len(text) if length is None else length) - most
    return text if more <= 0 else f"{text[:most]}... ({more:,} more characters)"
