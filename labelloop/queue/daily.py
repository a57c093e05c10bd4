"""Daily: what a loop's budget makes of the outputs that came, day after day. Pure; for `labelloop backtest`.

It places the outputs with the functions of the live push. It supposes one push a day, after all outputs of the day have
come, and people who answer all tasks, so that the window always has places. Outputs keep the utility that they came
with, and selection does not compare them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import heapify, heappop, heappush, heapreplace
from itertools import groupby
from uuid import UUID

from labelloop.queue.budget import Exhausted, Origin, Room, Spent
from labelloop.queue.lanes import Lane
from labelloop.queue.order import LANES, MAX_BATCH, RECENT, Ranked, choose, shares
from labelloop.spec.budget import Budget
from labelloop.spec.loop import LoopSpec

A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sent:
    """An output that the rule sends to people, in any lane."""

    id: UUID
    key: str
    lane: Lane
    utility: float
    origin: Origin


@dataclass(frozen=True, slots=True)
class Day:
    """One day and the outputs that something happened to on it."""

    day: date
    sent: Sequence[Sent]
    """The outputs that came on it."""
    tasks: Sequence[Sent]
    """The outputs that become tasks on it, in the order of the push."""
    passed: Sequence[Sent]
    """The outputs that its limits kept out and that therefore pass."""
    waiting: Mapping[Origin, int]
    """How many outputs wait at its end, by their origin."""


def days(spec: LoopSpec, budget: Budget, sent: Iterable[tuple[date, Sent]]) -> Iterator[Day]:
    """Yield each calendar day from the first to the last one on which outputs came.

    `sent` has the outputs by day, the earliest first. Those of one day and those that wait are in memory.
    """
    pool, pushed = _Pool(), list[list[Sent]]()
    for day, came in _calendar(sent):
        for one in came:
            pool.add(one)
        tasks = list[Sent]()
        while batch := _batch(spec, pool, Spent(budget, Counter(one.origin for one in tasks)), _lanes(pushed)):
            tasks += batch
            pushed = [batch, *pushed[:RECENT]]
        exhausted = Spent(budget, Counter(one.origin for one in tasks)).exhausted()
        passed = pool.kept_out(exhausted) if budget.over == "pass" and tasks else []
        yield Day(day, came, tasks, passed, pool.waiting())


def _batch(spec: LoopSpec, pool: _Pool, spent: Spent, lanes: Mapping[str, int]) -> list[Sent]:
    """Return the outputs that one import sends, and take them out of the pool."""
    free = min(MAX_BATCH, spec.queue.window)
    places = free if spent.left is None else min(free, spent.left)
    ready = {lane: pool.take(lane, places, spent.room() if lane == Lane.RULE else None) for lane in LANES}
    chosen = choose(
        {lane: [Ranked(one.id, one.key, one.lane, one.utility) for one in some] for lane, some in ready.items()},
        places,
        shares=shares(spec.queue.shares),
        pushed=lanes,
    )
    by_id = {one.id: one for some in ready.values() for one in some}
    batch = [by_id.pop(item.output_id) for item in chosen]
    for one in by_id.values():
        pool.add(one)
    return batch


def _lanes(pushed: Sequence[Sequence[Sent]]) -> Counter[str]:
    """Count by lane the RECENT outputs pushed last, with all that were pushed together with the earliest of them."""
    found = Counter[str]()
    for batch in pushed:
        if found.total() < RECENT:
            found.update(one.lane for one in batch)
    return found


class _Pool:
    """The outputs that wait: for each lane and origin a heap, the most useful first, ties by key."""

    def __init__(self) -> None:
        self._heaps: dict[str, dict[Origin, list[tuple[float, str, Sent]]]] = defaultdict(dict)

    def add(self, one: Sent) -> None:
        heappush(self._heaps[one.lane].setdefault(one.origin, []), (-one.utility, one.key, one))

    def take(self, lane: str, n: int, room: Room | None) -> list[Sent]:
        """Take out the `n` most useful outputs of a lane that have a place in `room`; None has a place for all."""
        heaps, found = self._heaps[lane], list[Sent]()
        heads = [(*heap[0][:2], origin) for origin, heap in heaps.items()]
        heapify(heads)
        while heads and len(found) < n:
            origin = heads[0][-1]
            heap = heaps[origin]
            if room is None or room.take(origin):
                found.append(heappop(heap)[-1])
                if heap:
                    heapreplace(heads, (*heap[0][:2], origin))
                    continue
                del heaps[origin]
            heappop(heads)  # nothing is left of this origin, or its limit is used up
        return found

    def kept_out(self, exhausted: Exhausted) -> list[Sent]:
        """Take out the outputs of the rule lane that these limits keep out."""
        heaps = self._heaps[Lane.RULE]
        gone = [
            origin
            for origin in heaps
            if exhausted.day or origin.source in exhausted.sources or origin.label in exhausted.labels
        ]
        return [one for origin in gone for *_, one in heaps.pop(origin)]

    def waiting(self) -> Counter[Origin]:
        found = Counter[Origin]()
        for heaps in self._heaps.values():
            found.update({origin: len(heap) for origin, heap in heaps.items()})
        return found


def _calendar(sent: Iterable[tuple[date, Sent]]) -> Iterator[tuple[date, list[Sent]]]:
    """Yield each day with its outputs; a day between two others may have none."""
    following: date | None = None
    for day, some in groupby(sent, key=lambda item: item[0]):
        while following is not None and following < day:
            yield following, []
            following += A_DAY
        yield day, [one for _, one in some]
        following = day + A_DAY
