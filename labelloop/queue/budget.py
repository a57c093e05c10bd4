"""Budget: what a loop's daily budget leaves. Pure.

The limit of a day counts for every lane, and the lanes keep their shares of the window. Limits of a source or a label
hold back only the rule lane. A lane that chance fills has its own random order, so the part of it that comes in is
a random sample, however small. If it lost the outputs of one source, its answers would estimate another error rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from labelloop.spec.budget import EACH, Budget

MOST_NAMED = 5
"""Sources and labels that a sentence names."""


class Origin(NamedTuple):
    """The facts about an output by which the budget limits it."""

    source: str
    """Its source; "" if it has none."""
    label: str
    """The pipeline's label; "" if it gave none."""


@dataclass(frozen=True, slots=True)
class Exhausted:
    """The limits that are used up."""

    day: bool = False
    """Whether the limit of all tasks is."""
    sources: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.day or bool(self.sources) or bool(self.labels)

    def words(self) -> str:
        """Return the limits in words, such as `per_source mail`; "" if there are none."""
        named = [f"per_source {name or 'none'}" for name in self.sources]
        named += [f"per_label {name or 'none'}" for name in self.labels]
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        return ", ".join(["per_day"] * self.day + named[:MOST_NAMED]) + more


NOTHING_EXHAUSTED = Exhausted()


class Limit(NamedTuple):
    """A limit of a budget, and how much of it is used."""

    part: str
    """`day`, `source` or `label`."""
    name: str
    """The name of the source or label, `*` for each that has no limit of its own; "" for the day."""
    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class Spent:
    """A budget, and how many tasks of each origin were made on one day or are on their way."""

    budget: Budget
    tasks: Mapping[Origin, int]

    @property
    def total(self) -> int:
        """The number of tasks, in all lanes."""
        return sum(self.tasks.values())

    @property
    def left(self) -> int | None:
        """The number of tasks that the day may still have; None without a limit."""
        return None if self.budget.per_day is None else max(0, self.budget.per_day - self.total)

    def words(self) -> str:
        """Return what was spent in words: `12 of 20 tasks today; used up: per_source mail`."""
        limit = "" if self.budget.per_day is None else f" of {self.budget.per_day:,}"
        exhausted = self.exhausted()
        return f"{self.total:,}{limit} tasks today" + (f"; used up: {exhausted.words()}" if exhausted else "")

    def exhausted(self, coming: Iterable[Origin] = ()) -> Exhausted:
        """Return the limits that are used up once these tasks are made too."""
        coming = list(coming)
        sources, labels = self._parts()
        sources.update(origin.source for origin in coming)
        labels.update(origin.label for origin in coming)
        return Exhausted(
            self.left is not None and len(coming) >= self.left,
            _full(sources, self.budget.per_source),
            _full(labels, self.budget.per_label),
        )

    def within(self, ids: Iterable[UUID], origins: Mapping[UUID, Origin]) -> Iterator[UUID]:
        """Yield those of these outputs that the limits of sources and labels let in, the first ones first."""
        room = self.room()
        return (id_ for id_ in ids if room.take(origins[id_]))

    def limits(self) -> list[Limit]:
        """Return each limit with the number of tasks that count for it. `*` has the most tasks of one of the others."""
        budget, (sources, labels) = self.budget, self._parts()
        found = [] if budget.per_day is None else [Limit("day", "", budget.per_day, self.total)]
        for part, used, caps in (("source", sources, budget.per_source), ("label", labels, budget.per_label)):
            for name, cap in caps.items():
                most = max((n for other, n in used.items() if other not in caps), default=0)
                found.append(Limit(part, name, cap, most if name == EACH else used[name]))
        return found

    def room(self) -> Room:
        """Return the places that are left for tasks of each source and label."""
        return Room(self.budget, *self._parts())

    def _parts(self) -> tuple[Counter[str], Counter[str]]:
        """Return the number of tasks by source and by label."""
        sources, labels = Counter[str](), Counter[str]()
        for origin, n in self.tasks.items():
            sources[origin.source] += n
            labels[origin.label] += n
        return sources, labels


class Room:
    """The places that the limits of sources and labels leave, while they are given to outputs."""

    def __init__(self, budget: Budget, sources: Counter[str], labels: Counter[str]) -> None:
        self._budget, self._sources, self._labels = budget, sources, labels

    def take(self, origin: Origin) -> bool:
        """Take a place for an output; False if its source or its label has none left."""
        source, label = origin
        if not _fits(self._sources[source], source, self._budget.per_source):
            return False
        if not _fits(self._labels[label], label, self._budget.per_label):
            return False
        self._sources[source] += 1
        self._labels[label] += 1
        return True


def _full(used: Mapping[str, int], caps: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted(name for name, n in used.items() if not _fits(n, name, caps)))


def _fits(used: int, name: str, caps: Mapping[str, int]) -> bool:
    cap = caps.get(name, caps.get(EACH))
    return cap is None or used < cap
