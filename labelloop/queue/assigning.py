"""Assigning: which people are to answer which open tasks. Pure.

Each task goes to as many different people as it still needs. Nobody gets a task that the person has answered, skipped
or, while there is anybody else, let go. The load of a person is the answers given in the period and the tasks assigned.

The promise is about people who take new tasks. No load is larger than another by two or more, if a task could move
from one person to the other, directly or through others. So loads of people with the same tags differ by at most one.
The difference is larger only where it lies in answers given already, or in tasks that the other has answered. This is
an optimal semi-matching: without a path that lowers the cost, no assignment is fairer (Harvey, Ladner, Lovasz and Tamir
2006, "Semi-matchings for bipartite graphs and load balancing", doi:10.1016/j.jalgor.2005.01.003).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Worker:
    """A person who may get tasks."""

    id: UUID
    tags: frozenset[str]
    answers: int = 0
    """Answers in the period."""
    idle: bool = False
    """Let tasks go without an answer since then: gets no new ones while there is anybody else."""
    at_work: bool = True
    """Has answered lately, and so may get what another person let go."""


@dataclass(frozen=True, slots=True)
class Item:
    """An open task."""

    id: UUID
    wanted: int
    """Number of people who still have to answer it."""
    needs: frozenset[str] = frozenset()
    """Tags that a person must have to answer it."""
    closed: frozenset[UUID] = frozenset()
    """People who have answered or skipped it, or must not answer."""
    let_go: frozenset[UUID] = frozenset()
    """People who had it and did not answer in time."""
    held: frozenset[UUID] = frozenset()
    """People who have it now."""
    late: frozenset[UUID] = frozenset()
    """Those of `held` who have had it for too long."""


@dataclass(frozen=True, slots=True)
class Shares:
    """The people of each task."""

    given: Mapping[UUID, frozenset[UUID]]
    """People by item, for all items."""
    handed_on: Mapping[UUID, frozenset[UUID]]
    """People by item who let it go now; items without any are left out."""


def share_out(items: Sequence[Item], workers: Sequence[Worker], rotate_after: int | None = None) -> Shares:
    """Return the people of each task. `items` are the most useful first, and everybody gets of the most useful.

    What people have now stays with them, as far as the promise allows. With the result as `held` it returns the same.
    """
    people = sorted(workers, key=lambda one: one.id)
    takes = [not rests(one, people, rotate_after) for one in people]
    board, handed_on = _Board([one.answers for one in people]), {}
    for item in items:
        able = [n for n, one in enumerate(people) if can_answer(one, item)]
        best = [n for n in able if takes[n] and people[n].id not in item.let_go]
        others_work = any(people[n].at_work and people[n].id not in item.held for n in best)
        freed = item.late if others_work else frozenset[UUID]()
        if freed:
            handed_on[item.id] = freed
        gone = item.let_go | freed
        open_ = frozenset(n for n in best if people[n].id not in freed)
        others = {n: (people[n].id in gone, people[n].idle) for n in able if n not in open_}
        kept = [n for n in able if people[n].id in item.held - freed]
        board.add(item.wanted, sorted(kept, key=board.loads.__getitem__)[: item.wanted], open_, others)

    dealt = board.copy()
    dealt.fill(dealt.loads.__getitem__)
    dealt.level()
    had = [*board.loads]
    quotas = [load - n for load, n in zip(dealt.loads, had, strict=True)]
    # By turns, in proportion to what each is to get: with loads alone, the person behind would get all of the best.
    board.fill(lambda n: (board.loads[n] - had[n] + 1) / quotas[n] if quotas[n] > 0 else math.inf)
    board.level()
    pairs = zip(items, board.given, strict=True)
    return Shares({item.id: frozenset(people[n].id for n in given) for item, given in pairs}, handed_on)


def can_answer(worker: Worker, item: Item) -> bool:
    """Whether the person has the tags that the task needs, and has not answered it."""
    return item.needs <= worker.tags and worker.id not in item.closed


def rests(worker: Worker, workers: Iterable[Worker], rotate_after: int | None) -> bool:
    """Whether the person gets no new tasks while anybody else can: idle, or ahead by a whole turn of others."""
    if worker.idle or rotate_after is None:
        return worker.idle
    same = (one.answers // rotate_after for one in workers if one.tags == worker.tags and not one.idle)
    return worker.answers // rotate_after > min(same)


def why_nobody(item: Item, workers: Sequence[Worker]) -> str:
    """Return why fewer people than wanted can get the task, in words."""
    missing = item.needs - frozenset[str]().union(*(worker.tags for worker in workers))
    if missing:
        return f"nobody has the {'tag' if len(missing) == 1 else 'tags'} {', '.join(sorted(missing))}"
    able = [worker for worker in workers if item.needs <= worker.tags]
    if not able:
        return f"nobody has all of the tags {', '.join(sorted(item.needs))}"
    if all(worker.id in item.closed for worker in able):
        return "everybody who could has answered or skipped it"
    return f"it needs {item.wanted} more people, and fewer can answer it"


class _Board:
    """An assignment that is being made. Items and people are numbers: 0 is the most useful item, and the first id."""

    def __init__(self, loads: Iterable[int]) -> None:
        self.loads = [*loads]
        self.given: list[set[int]] = []
        """People by item."""
        self._wanted: list[int] = []
        self._open: list[frozenset[int]] = []
        """People by item among whom loads are level."""
        self._others: list[Mapping[int, tuple[bool, bool]]] = []
        """Further people by item, who get it if the first ones are too few. The lowest value gets it first."""
        self._ways: list[list[list[int]]] = []
        """The items that can move from one person to another, negative: a heap, with items that cannot any more."""

    def copy(self) -> _Board:
        copy = _Board(self.loads)
        copy._wanted, copy._open, copy._others = self._wanted, self._open, self._others
        copy.given = [{*people} for people in self.given]
        return copy

    def add(
        self, wanted: int, kept: Iterable[int], open_: frozenset[int], others: Mapping[int, tuple[bool, bool]]
    ) -> None:
        """Add an item that these people keep."""
        self._wanted.append(wanted)
        self._open.append(open_)
        self._others.append(others)
        self.given.append(set())
        for one in kept:
            self._give(-1, one)

    def _give(self, item: int, person: int) -> None:
        self.given[item].add(person)
        self.loads[person] += 1

    def fill(self, cost: Callable[[int], float]) -> None:
        """Give each item to as many people as it wants, at each time to the person of the lowest cost."""
        for item, given in enumerate(self.given):
            while len(given) < self._wanted[item]:
                ranks = self._others[item]
                if free := self._open[item] - given:
                    self._give(item, min(free, key=lambda n: (cost(n), self.loads[n], n)))
                elif rest := ranks.keys() - given:
                    self._give(item, min(rest, key=lambda n: (ranks[n], self.loads[n], n)))
                else:
                    break

    def level(self) -> None:
        """Move items until no path lowers the cost. Each path lowers the sum of the squares of the loads."""
        self._ways = [[[] for _ in self.loads] for _ in self.loads]
        for item in reversed(range(len(self.given))):
            self._open_ways(item, self.given[item], self._open[item] - self.given[item])
        while (path := self._path()) is not None:
            source, target = path[0][0], path[-1][1]
            while self.loads[source] >= self.loads[target] + 2 and all(self._next(*step) is not None for step in path):
                for one, other in reversed(path):  # from its end, so that no move undoes the next
                    self._move(one, other)

    def _open_ways(self, item: int, holders: Iterable[int], free: Iterable[int]) -> None:
        for one in holders:
            for other in free:
                heappush(self._ways[one][other], -item)

    def _next(self, one: int, other: int) -> int | None:
        """Return the least useful item that can move from one person to the other; None if there is none."""
        ways = self._ways[one][other]
        while ways and not (one in self.given[-ways[0]] and other not in self.given[-ways[0]]):
            heappop(ways)
        return -ways[0] if ways else None

    def _move(self, one: int, other: int) -> None:
        """Move that item."""
        item = self._next(one, other)
        assert item is not None
        given, open_ = self.given[item], self._open[item]
        given.remove(one)
        self.loads[one] -= 1
        self._open_ways(item, given, open_ & {one})
        self._give(item, other)
        self._open_ways(item, [other], open_ - given)

    def _path(self) -> list[tuple[int, int]] | None:
        """Return the shortest path of moves from one person to another whose load is smaller by two or more."""
        lightest = sorted(range(len(self.loads)), key=self.loads.__getitem__)
        for source in sorted(lightest, key=lambda n: (-self.loads[n], n)):
            came: dict[int, int | None] = {source: None}
            reached = [source]
            for one in reached:
                for other in lightest:
                    if other in came or self._next(one, other) is None:
                        continue
                    came[other] = one
                    if self.loads[other] <= self.loads[source] - 2:
                        return _back(other, came)
                    reached.append(other)
        return None


def _back(end: int, came: Mapping[int, int | None]) -> list[tuple[int, int]]:
    """Return the steps that lead to `end`, the first one first."""
    steps: list[tuple[int, int]] = []
    before = came[end]
    while before is not None:
        steps.append((before, end))
        end, before = before, came[before]
    return steps[::-1]
