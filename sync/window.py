"""The window: what should come into it now. Looked at twice: to select at leisure, and again to claim.

Selection reads what people would see of some hundred or thousand outputs, so it happens between the two, and nobody
waits for it. What has gone meanwhile falls out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from labelloop.spec import LoopSpec
from labelloop.store import batches, doubts, pool
from labelloop.store import tasks as task_store
from labelloop.store.database import Conn, Database
from labelloop.tasks import LANES, MAX_BATCH, SECOND, Ranked, best_first, choose, shares, standing
from sync.batches import in_force

HOPES_S = 10.0
"""So long a batch whose answer is lost still fills its part of the window; then people get other tasks."""
MAX_UNCLEAR = 4
"""With so many batches whose answer is lost, another one would only be lost too."""
RECENT = 200
"""So many of those pushed last are not to be seen again in other words."""


class Pick(NamedTuple):
    output_id: UUID
    why_also: str


@dataclass(frozen=True, slots=True)
class Window:
    """As it is at one moment, and what waits before it."""

    version: str
    """The pair of versions in force."""
    open_rows: list[dict[str, Any]]
    stands: list[Ranked]
    """The open tasks that fill a place."""
    queues: Mapping[str, Sequence[Ranked]]
    """What could come in, best first."""
    places: int
    pushed: Mapping[str, int]
    shares: Mapping[str, float]

    def chosen(self, picks: Sequence[Pick], places: int) -> list[Ranked]:
        """Who comes in now, where selection has picked these of the rule lane for so many places."""
        waits = {item.output_id: item for item in self.queues["rule"]}
        queues = {**self.queues, "rule": [waits[pick.output_id] for pick in picks if pick.output_id in waits]}
        return choose(queues, min(places, self.places), shares=self.shares, pushed=self.pushed)


def look(conn: Conn, spec: LoopSpec) -> Window:
    version = in_force(conn, spec.name)
    on_the_way = [batch for batch in batches.open_(conn, spec.name) if batch["kind"] == "tasks"]
    open_rows = task_store.in_review(conn, spec.name, version)
    within = reach(spec)
    waiting = [
        Ranked(row["output_id"], row["key"], row["lane"], row["utility"], row["fresh"])
        for row in pool.best(conn, spec.name, within, version)
    ]
    # An open task counts whatever ranked it: until the newest version has been through, nothing better is known.
    # One that has as many annotations as people are asked fills no place: who skipped it is not served it again.
    filling = [opened(row, spec) for row in open_rows if row["annotated"] < max(row["overlap"], spec.overlap)]
    stands = standing(filling, waiting, within)
    in_flight = sum(batch["size"] for batch in on_the_way if batch["age_s"] < HOPES_S)
    places = max(0, min(MAX_BATCH, spec.queue.window - len(stands) - in_flight))
    queues = {lane: best_first(item for item in waiting if item.lane == lane) for lane in LANES}
    asked = sum(row["overlap"] > spec.overlap for row in open_rows)
    queues[SECOND] = [
        Ranked(row["output_id"], row["key"], SECOND, row["doubt"])
        for row in doubts.most(conn, spec.name, max(0, _at_once(spec) - asked))
    ]
    return Window(
        version=version,
        open_rows=open_rows,
        stands=stands,
        queues=queues,
        places=places if len(on_the_way) < MAX_UNCLEAR else 0,
        pushed=task_store.pushed(conn, spec.name),
        shares=shares(spec.queue.shares),
    )


def select(database: Database, spec: LoopSpec, window: Window) -> list[Pick]:
    """Those of the rule lane that should come in, in this order: useful, and unlike each other and what stands."""
    # How many each lane gets depends on how many wait, not on who they are.
    n = sum(item.lane == "rule" for item in window.chosen(_plain(window.queues["rule"]), window.places))
    return _plain(window.queues["rule"])[:n]


def opened(row: Mapping[str, Any], spec: LoopSpec) -> Ranked:
    """An open task. One that is asked a second time is no matter of the rule any more."""
    lane = SECOND if row["overlap"] > spec.overlap else row["lane"]
    return Ranked(row["output_id"], row["key"], lane, row["utility"])


def reach(spec: LoopSpec) -> int:
    """So many of the best of what waits are looked at."""
    return spec.queue.window


def _at_once(spec: LoopSpec) -> int:
    """So many second opinions are open at most: where nobody is there to give them they must not fill the window."""
    return max(1, round(spec.queue.second * spec.queue.window)) if spec.queue.second else 0


def _plain(items: Sequence[Ranked]) -> list[Pick]:
    return [Pick(item.output_id, "") for item in items]
