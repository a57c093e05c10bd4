"""Checks of a spec across its keys; each fault names the key that is incorrect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from labelloop.reading.nearest import did_you_mean, some
from labelloop.spec.loop_yaml import Path, dotted

if TYPE_CHECKING:
    from labelloop.spec.loop import LoopSpec


class Fault(NamedTuple):
    """A mistake in a section of loop.yaml."""

    path: Path
    """Path of the incorrect key, below the section that is checked."""
    words: str
    at_key: bool = False
    """Whether the key itself is incorrect, and not its value."""


class Contradiction(ValueError):
    """Faults that a section has although each of its values is valid."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(f"{dotted(faults[0].path)}: {faults[0].words}")
        self.faults = faults


def faults(spec: LoopSpec) -> Iterator[Fault]:
    """Yield what in the spec contradicts something else in it, the first one first."""
    yield from _of_who_is_asked(spec)
    yield from _of_labels(spec)


def _of_who_is_asked(spec: LoopSpec) -> Iterator[Fault]:
    if spec.queue.second and spec.overlap > 1:
        yield Fault(
            ("queue", "second"),
            f"asks a second annotator about uncertain answers, and overlap {spec.overlap} asks more than one about "
            "every task: use one of the two",
        )
    if spec.asks_blind and not spec.labels_xml and "correction" not in spec.actions[0].fields:
        path = ("queue", "blind") if spec.judge is None else ("judge",)
        words = "a blind task shows no label, so people must name one: add correction to `fields` of the action"
        yield Fault(path, words)
    if spec.opinions is None:
        return
    for key, words in spec.opinions.faults(spec.consensus, spec.overlap):
        yield Fault(("opinions", key), words)
    if spec.queue.second:
        yield Fault(
            ("queue", "second"),
            "opinions and queue.second both ask more people about answers: use one of the two. opinions asks where "
            "people differ, and queue.second where a model differs",
        )


def _of_labels(spec: LoopSpec) -> Iterator[Fault]:
    if not spec.labels:
        return
    named: list[tuple[Path, str]] = [
        (("gate", "watch", place), entry.partition("=")[2])
        for place, entry in enumerate(spec.gate.watch)
        if entry.startswith("label=")
    ]
    named += [(("definitions", label), label) for label in spec.definitions]
    named += [(("judge", "positive"), spec.judge.positive)] if spec.judge is not None else []
    for path, label in named:
        if label and label not in spec.labels:
            at_key = path[0] == "definitions"
            yield Fault(path, f"no label {label!r}{did_you_mean(label, spec.labels)}; {some(spec.labels)}", at_key)
