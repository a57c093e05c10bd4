"""Try outputs on a loop's spec: would each be asked, in which lane, and why. Nothing is stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labelloop.outputs.content import content_sha256
from labelloop.queue.explaining import explain
from labelloop.queue.lanes import Lane, only_without_certificate
from labelloop.spec import trigger
from labelloop.spec.loop import LoopSpec
from sync.intake.taking import Line, read


@dataclass(frozen=True, slots=True)
class Tried:
    """The lane that one line would come to, or the reason for which it would be refused."""

    line: int
    key: str | None
    """None if the line has no valid key."""
    asked: bool
    """Whether people would see it."""
    lane: str | None
    """None if the intake would refuse the line."""
    label: str | None
    confidence: float | None
    why: str
    only_without_certificate: bool = False
    """Whether it is asked only as long as no certificate of `accept` covers it."""


def tried(spec: LoopSpec, lines: Iterable[Line]) -> Iterator[Tried]:
    """Yield what the intake would do with each line, as if no key were known before.

    A line whose key an earlier line has too is refused if its body differs. In a loop with `reuse_answers`, a line with
    the content of an earlier line that would be asked is not asked. Outputs that are stored already are not known here.
    """
    parts = trigger.parts(spec.trigger, spec.labels)
    seen: dict[str, tuple[int, bytes]] = {}
    asked: dict[bytes, tuple[int, str]] = {}
    for number, raw in lines:
        batch = read(spec, [(number, raw)])
        for problem in batch.invalid:
            yield Tried(number, problem.key, False, None, None, None, f"refused: {problem.message}")
        for key, row in batch.rows.items():
            first, sha256 = seen.setdefault(key, (number, row.sha256))
            if sha256 != row.sha256:
                why = f"refused: line {first} has this key with another body"
                yield Tried(number, key, False, None, None, None, why)
                continue
            placed = row.placement
            people = placed.lane != Lane.PASS
            why = explain(row.output, placed, spec, parts)
            if content := content_sha256(row.output, spec.config, placed.label) if spec.reuse_answers else None:
                line, of = asked.get(content, (number, key)) if not people else asked.setdefault(content, (number, key))
                if of != key:
                    people, why = False, f"it would have the answer of line {line}, which has the same content; {why}"
            open_ = people and only_without_certificate(placed)
            yield Tried(number, key, people, placed.lane, placed.label, placed.confidence, why, open_)
