"""Order: the order in which waiting outputs become tasks, and in which open tasks are served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from labelloop.outputs.output import unit_hash
from labelloop.queue.lanes import Lane
from labelloop.queue.tasks import order_score

SECOND = "second"
"""Answered tasks that need a second opinion; they share the window with the lanes."""

LANES = ("rule", "control", "audit", "holdout", "gold", SECOND)
"""Lanes that share the window, in the order in which equal ones are served."""

MAX_BATCH = 200

RECENT = 200
"""Newcomers differ from this many outputs pushed last, and lanes get their shares of these. So a lane that is new to an
old loop does not make up for the past."""

STEP = 1e-12
"""Difference between two neighbours in the served order that are equally useful."""

EDGE = 1e-6
"""Margin at both ends of [0, 1] for those steps."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A waiting output or an open task, with the facts that the window needs."""

    output_id: UUID
    key: str
    """Key of the output; ties in utility are broken by it."""
    lane: str
    utility: float
    fresh: bool = True
    """Whether the versions in force scored it and ranked it; others come last."""


class Waiting(NamedTuple):
    """A row of pool: a waiting output. A push reads thousands, and a tuple is made in half the time of a dataclass."""

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
    """Return the open tasks that will be served soon.

    A task of the rule lane belongs to them while it is among the `reach` best of all open tasks and waiting outputs,
    from which new ones are selected. If an earlier version chose it (`outdated`), it must be among the `window` best.
    The others stay open, but better new tasks are served before them.

    `waiting` must hold at least the `reach` best waiting outputs.
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
    """Return the outputs that get these free slots of the window: from each lane's queue, the first ones first.

    `shares` hold for the tasks pushed lately, so `pushed` counts what each lane has had. A lane with an empty queue
    leaves its slots to the others.
    """
    left = {lane: list(reversed(queues.get(lane, ()))) for lane in LANES}
    counts = Counter(pushed)
    chosen: list[Ranked] = []
    for _ in range(places):
        lanes = [lane for lane in LANES if left[lane]]
        if not lanes:
            break
        # Webster's method: the next lane is the one furthest behind its share; among equals, the first in LANES.
        lane = max(lanes, key=lambda lane: shares[lane] / (counts[lane] + 0.5))
        counts[lane] += 1
        chosen.append(left[lane].pop())
    return chosen


def shares(configured: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each lane; the rule lane has the rest."""
    return {"rule": max(0.0, 1.0 - sum(configured.values())), **configured}


def useful(served: Iterable[Ranked], coming: Iterable[Ranked], window: int) -> list[float]:
    """Return the utilities of the rule lane's tasks that people will be served if nothing changes, lowest first.

    They are those of the open tasks, and of the first of the new ones that fit into the free slots.
    """
    utilities = sorted((item.utility for item in served if item.lane == "rule"), reverse=True)
    utilities += [item.utility for item in coming if item.lane == "rule"][: max(0, window - len(utilities))]
    return sorted(utilities, reverse=True)[:window][::-1]


def priorities(
    items: Iterable[Ranked], among: Sequence[float], taken: Collection[float] = (), *, draw: str
) -> dict[UUID, float]:
    """Return the priority of each item: in [0, 1], highest served first, all different, and none of those `taken`.

    In the rule lane it follows the utility. An item of another lane gets a random place `among` the useful ones: it is
    served like them, and yet chosen by chance alone. Each `draw` (a version) gives another place, so no item is last
    forever.
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
    """Return the items in order: those that the versions in force have scored first, then by utility. Ties are broken
    by key.
    """
    return sorted(items, key=lambda item: (not item.fresh, -item.utility, item.key))
