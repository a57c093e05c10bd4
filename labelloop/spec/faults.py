"""Checks of a spec across its keys; each fault is one sentence that names the key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labelloop.reading.nearest import did_you_mean, some

if TYPE_CHECKING:
    from labelloop.spec.loop import LoopSpec


def faults(spec: LoopSpec) -> Iterator[str]:
    """Yield what in the spec contradicts something else in it, the first one first."""
    yield from _of_who_is_asked(spec)
    yield from _of_labels(spec)


def _of_who_is_asked(spec: LoopSpec) -> Iterator[str]:
    if spec.queue.second and spec.overlap > 1:
        yield (
            f"queue.second asks a second annotator about uncertain answers, and overlap {spec.overlap} asks more "
            "than one about every task: use one of the two"
        )
    if spec.asks_blind and not spec.labels_xml and "correction" not in spec.actions[0].fields:
        why = "queue.blind" if spec.judge is None else "judge"
        yield f"{why}: who is shown no label names one, so `fields` of the action needs correction"
    if spec.opinions is None:
        return
    spec.opinions.check(spec.consensus, spec.overlap)
    if spec.queue.second:
        yield (
            "opinions and queue.second both ask more people about answers: use one of the two. opinions asks "
            "where people differ, and queue.second where a model differs"
        )


def _of_labels(spec: LoopSpec) -> Iterator[str]:
    if not spec.labels:
        return
    named = [("gate.watch", entry.partition("=")[2]) for entry in spec.gate.watch if entry.startswith("label=")]
    named += [("definitions", label) for label in spec.definitions]
    named += [("judge.positive", spec.judge.positive)] if spec.judge is not None else []
    for key, label in named:
        if label and label not in spec.labels:
            yield f"{key}: no label {label!r}{did_you_mean(label, spec.labels)}; {some(spec.labels)}"
