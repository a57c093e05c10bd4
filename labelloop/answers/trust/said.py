"""Said: one person's answer with everything that tells how good it is. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from typing import NamedTuple


class Said(NamedTuple):
    """One answer of one person."""

    person: Hashable
    output: Hashable
    label: str | None
    """None if it names no label."""
    at: datetime
    """Time at which it was written."""
    seconds: float | None
    """Time that the person took; None if it is not known."""
    kept: bool | None
    """Whether the prelabel was submitted unchanged; None without a prelabel."""
    shown: str | None
    """The label that the task shows as prelabel, or that of the pipeline; None without either."""
    gold: str | None
    """The known answer; None unless the output is gold."""
    holdout: bool = False
    triggered: bool | None = None


class Compared(NamedTuple):
    """An answer beside the one that is taken as correct."""

    said: Said
    truth: str
    at: datetime
    """Time from which both are known."""
    by: frozenset[Hashable]
    """The other people who gave `truth`; empty for gold."""

    @property
    def wrong(self) -> bool:
        return self.said.label != self.truth


def on_gold(rows: Sequence[Said]) -> list[Compared]:
    """Return these answers to gold, in the order of their times."""
    return [Compared(row, row.gold, row.at, frozenset()) for row in sorted(rows, key=_order) if row.gold is not None]


def asked_together(rows: Sequence[Said], overlap: int) -> list[list[Said]]:
    """Return the first `overlap` answers to each output, in the order of their times; gold is left out.

    Later answers were asked for because of the earlier ones, so they are about the doubtful outputs alone.
    """
    found: dict[Hashable, list[Said]] = defaultdict(list)
    for row in sorted(rows, key=_order):
        if row.gold is None and len(found[row.output]) < overlap:
            found[row.output].append(row)
    return [answers for answers in found.values() if len(answers) > 1]


def with_others(
    together: Sequence[Sequence[Said]], without: frozenset[Hashable] = frozenset()
) -> dict[Hashable, list[Compared]]:
    """Compare the answers of each person with what all others said about the same output, in the order of the times.

    Outputs on which the others do not agree are left out. Answers of people in `without` are nobody's measure.
    """
    found: dict[Hashable, list[Compared]] = defaultdict(list)
    for answers in together:
        for row in answers:
            others = [one for one in answers if one.person not in (row.person, *without) and one.label is not None]
            if len({one.label for one in others}) == 1:
                at = max(row.at, *(one.at for one in others))
                by = frozenset(one.person for one in others)
                found[row.person].append(Compared(row, str(others[0].label), at, by))
    return {person: sorted(compared, key=lambda one: one.at) for person, compared in found.items()}


def pairs(together: Sequence[Sequence[Said]]) -> dict[frozenset[Hashable], tuple[int, int]]:
    """Map each two people to the number of outputs that both answered, and on how many of them they differ."""
    found: dict[frozenset[Hashable], tuple[int, int]] = {}
    for answers in together:
        for one, other in combinations(answers, 2):
            both = frozenset((one.person, other.person))
            n, differ = found.get(both, (0, 0))
            found[both] = (n + 1, differ + (one.label != other.label))
    return found


def by_person(rows: Sequence[Said]) -> Mapping[Hashable, list[Said]]:
    """Return the answers of each person, in the order of their times."""
    found: dict[Hashable, list[Said]] = defaultdict(list)
    for row in sorted(rows, key=_order):
        found[row.person].append(row)
    return found


def _order(row: Said) -> tuple[datetime, str]:
    return row.at, str(row.output)
