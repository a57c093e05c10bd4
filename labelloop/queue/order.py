"""In what order waiting outputs become tasks, and open tasks are served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from labelloop.outputs.output import unit_hash
from labelloop.queue.lanes import Lane
from labelloop.queue.tasks import order_score

SECOND = "second"
"""Answered tasks that are asked once more stand here beside the lanes."""

LANES = ("rule", "control", "audit", "holdout", "gold", SECOND)
"""What has a share of the window, in the order in which equals are served."""

MAX_BATCH = 200

STEP = 1e-12
"""Between two neighbours in the served order that are equally useful."""

EDGE = 1e-6
"""Room at both ends of [0, 1] for those steps."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """An output that waits or stands open, as far as the window needs to know it."""

    output_id: UUID
    key: str
    """Of two that are equally useful the first by key comes first."""
    lane: str
    utility: float
    fresh: bool = True
    """Scored and ranked by the versions that are in force; those that are not come last."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of pool: an output that waits for people."""

    output_id: UUID
    key: str
    lane: Lane
    utility: float
    champion: str
    ranker: str
    fresh: bool
    """The versions in force have scored it."""


def standing(
    open_: Iterable[Ranked], waiting: Iterable[Ranked], *, window: int, reach: int, outdated: Collection[UUID] = ()
) -> list[Ranked]:
    """The open tasks that are served soon.

    One of the rule lane is while it is among the `reach` best of all that is open or waits, from which new ones are
    selected; one that an earlier version had chosen (`outdated`), only while it is among the `window` best. The others
    keep their places, but better ones that come in are served before them. `waiting` holds at least the `reach` best
    that wait.
    """
    open_ = list(open_)
    best = [item.output_id for item in best_first(item for item in (*open_, *waiting) if item.lane == "rule")]
    near, far = set(best[:window]), set(best[:reach])
    return [
        item for item in open_ if item.lane != "rule" or item.output_id in (near if item.output_id in outdated else far)
    ]


def choose(
    queues: Mapping[str, Sequence[Ranked]], places: int, *, shares: Mapping[str, float], pushed: Mapping[str, int]
) -> list[Ranked]:
    """Who comes into these many places of the window: from each lane's queue the first first.

    `shares` are of what was pushed lately, so what `pushed` counts is what a lane has had; a lane that has nothing
    to give leaves its place to the others.
    """
    left = {lane: list(reversed(queues.get(lane, ()))) for lane in LANES}
    counts = Counter(pushed)
    chosen: list[Ranked] = []
    for _ in range(places):
        lanes = [lane for lane in LANES if left[lane]]
        if not lanes:
            break
        # Webster's method: next is the lane that is furthest behind its share. The first of equals: LANES' order.
        lane = max(lanes, key=lambda lane: shares[lane] / (counts[lane] + 0.5))
        counts[lane] += 1
        chosen.append(left[lane].pop())
    return chosen


def shares(said: Mapping[str, float]) -> dict[str, float]:
    """Share of each lane; what the others leave is the rule's."""
    return {"rule": max(0.0, 1.0 - sum(said.values())), **said}


def useful(stands: Iterable[Ranked], coming: Iterable[Ranked], window: int) -> list[float]:
    """Utilities of the rule lane's tasks that people are served while nothing changes, lowest first: of those that
    stand, and of the first of those that come into the places that are left.
    """
    utilities = sorted((item.utility for item in stands if item.lane == "rule"), reverse=True)
    utilities += [item.utility for item in coming if item.lane == "rule"][: max(0, window - len(utilities))]
    return sorted(utilities, reverse=True)[:window][::-1]


def priorities(
    items: Iterable[Ranked], among: Sequence[float], taken: Collection[float] = (), *, draw: str
) -> dict[UUID, float]:
    """Place of each item in the served order: in [0, 1], highest first, no two alike and none of those `taken`.

    In the rule lane it follows the utility. An item of any other goes to a random place `among` the useful ones,
    so that it is served like them and yet chosen by chance alone; each `draw` (a version) is another, so none is last
    for ever.
    """
    items = list(items)
    wished = {item.output_id: _wish(item, among, draw) for item in items}
    placed: dict[UUID, float] = {}
    used, last = {order_score(priority) for priority in taken}, 2.0
    for item in sorted(items, key=lambda item: (-wished[item.output_id], LANES.index(item.lane), item.key)):
        place = min(EDGE + wished[item.output_id] * (1 - 2 * EDGE), last - STEP)
        while order_score(place) in used:
            place -= STEP
        used.add(order_score(place))
        placed[item.output_id] = last = place
    return placed


def _wish(item: Ranked, among: Sequence[float], draw: str) -> float:
    if item.lane == "rule":
        return item.utility
    chance = unit_hash("place in the window", draw, str(item.output_id))
    return among[int(chance * len(among))] if among else chance


def best_first(items: Iterable[Ranked]) -> list[Ranked]:
    """Those that the versions in force have seen before the others, the more useful first, equals by key."""
    return sorted(items, key=lambda item: (not item.fresh, -item.utility, item.key))
