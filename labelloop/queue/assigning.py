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
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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
    takes = {worker.id for worker in workers if not rests(worker, workers, rotate_after)}
    board, handed_on = _Board({worker.id: worker.answers for worker in workers}), {}
    for item in items:
        able = [worker for worker in workers if can_answer(worker, item)]
        best = [worker for worker in able if worker.id in takes and worker.id not in item.let_go]
        freed = item.late if any(one.at_work and one.id not in item.held for one in best) else frozenset[UUID]()
        if freed:
            handed_on[item.id] = freed
        gone = item.let_go | freed
        open_ = frozenset(one.id for one in best) - freed
        board.add(item, open_, {one.id: (one.id in gone, one.idle) for one in able if one.id not in open_})
        kept = [one.id for one in able if one.id in item.held - freed]
        for id_ in sorted(kept, key=board.loads.__getitem__)[: item.wanted]:
            board.give(item.id, id_)

    dealt = board.copy()
    dealt.fill(lambda id_: dealt.loads[id_])
    dealt.level()
    had = dict(board.loads)
    quotas = {id_: dealt.loads[id_] - n for id_, n in had.items()}
    # By turns, in proportion to what each is to get: with loads alone, the person behind would get all of the best.
    board.fill(lambda id_: (board.loads[id_] - had[id_] + 1) / quotas[id_] if quotas[id_] > 0 else math.inf)
    board.level()
    return Shares({id_: frozenset(people) for id_, people in board.given.items()}, handed_on)


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
    """An assignment that is being made."""

    def __init__(self, loads: Mapping[UUID, int]) -> None:
        self.loads = dict(loads)
        self.wanted: dict[UUID, int] = {}
        """Number of people by item, the most useful item first."""
        self.given: dict[UUID, set[UUID]] = {}
        """People by item."""
        self.open: dict[UUID, frozenset[UUID]] = {}
        """People by item among whom loads are level."""
        self.others: dict[UUID, Mapping[UUID, tuple[bool, bool]]] = {}
        """Further people by item, who get it if the first ones are too few. The lowest value gets it first."""
        self._mine: dict[UUID, list[tuple[int, UUID]]] = {id_: [] for id_ in loads}
        """Items by person, each with its place in the order, the most useful first."""
        self._places: dict[UUID, int] = {}
        self._ways: Counter[tuple[UUID, UUID]] = Counter()
        """Number of items that can move from one person to another."""

    def copy(self) -> _Board:
        copy = _Board(self.loads)
        copy.wanted, copy.open, copy.others, copy._ways = self.wanted, self.open, self.others, self._ways.copy()
        copy._mine, copy._places = {id_: [*mine] for id_, mine in self._mine.items()}, self._places
        copy.given = {item: set(people) for item, people in self.given.items()}
        return copy

    def add(self, item: Item, open_: frozenset[UUID], others: Mapping[UUID, tuple[bool, bool]]) -> None:
        self.wanted[item.id], self.given[item.id] = item.wanted, set()
        self._places[item.id] = len(self._places)
        self.open[item.id], self.others[item.id] = open_, others

    def give(self, item: UUID, person: UUID) -> None:
        self._count(item, -1)
        self.given[item].add(person)
        self._count(item, 1)
        insort(self._mine[person], (self._places[item], item))
        self.loads[person] += 1

    def take(self, item: UUID, person: UUID) -> None:
        self._count(item, -1)
        self.given[item].remove(person)
        self._count(item, 1)
        self._mine[person].remove((self._places[item], item))
        self.loads[person] -= 1

    def _count(self, item: UUID, by: int) -> None:
        given = self.given[item]
        for one in given:
            for other in self.open[item] - given:
                self._ways[one, other] += by

    def fill(self, cost: Callable[[UUID], float]) -> None:
        """Give each item to as many people as it wants, at each time to the person of the lowest cost."""
        for item, wanted in self.wanted.items():
            while len(self.given[item]) < wanted:
                free = self.open[item] - self.given[item]
                if free:
                    self.give(item, min(free, key=lambda id_: (cost(id_), self.loads[id_], id_)))
                elif rest := self.others[item].keys() - self.given[item]:
                    ranks = self.others[item]
                    self.give(item, min(rest, key=lambda id_: (ranks[id_], self.loads[id_], id_)))
                else:
                    break

    def level(self) -> None:
        """Move items until no path lowers the cost. Each path lowers the sum of the squares of the loads."""
        while (path := self._path()) is not None:
            source, target = path[0][0], path[-1][1]
            while self.loads[source] >= self.loads[target] + 2 and all(self._ways[step] > 0 for step in path):
                for one, other in reversed(path):  # from its end, so that no move undoes the next
                    self._move(one, other)

    def _move(self, one: UUID, other: UUID) -> None:
        """Give the least useful item that can move from one person to the other."""
        mine = (item for _, item in reversed(self._mine[one]))
        item = next(item for item in mine if other in self.open[item] and other not in self.given[item])
        self.take(item, one)
        self.give(item, other)

    def _path(self) -> list[tuple[UUID, UUID]] | None:
        """Return the shortest path of moves from one person to another whose load is smaller by two or more."""
        for source in sorted(self.loads, key=lambda id_: (-self.loads[id_], id_)):
            came: dict[UUID, UUID | None] = {source: None}
            reached = [source]
            for one in reached:
                for other in sorted(self.loads, key=lambda id_: (self.loads[id_], id_)):
                    if other in came or self._ways[one, other] <= 0:
                        continue
                    came[other] = one
                    if self.loads[other] <= self.loads[source] - 2:
                        return _back(other, came)
                    reached.append(other)
        return None


def _back(end: UUID, came: Mapping[UUID, UUID | None]) -> list[tuple[UUID, UUID]]:
    """Return the steps that lead to `end`, the first one first."""
    steps: list[tuple[UUID, UUID]] = []
    before = came[end]
    while before is not None:
        steps.append((before, end))
        end, before = before, came[before]
    return steps[::-1]
