"""The window: what should come into it now. Looked at twice: to select at leisure, and again to claim.

Selection reads what people would see of some hundred or thousand outputs, so it happens between the two, and nobody
waits for it. What has gone meanwhile falls out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from labelloop import selection
from labelloop.pictures.kept import with_pictures
from labelloop.queue.batches import BatchKind
from labelloop.queue.order import LANES, MAX_BATCH, SECOND, Ranked, best_first, choose, shares, standing
from labelloop.queue.tasks import OpenTask
from labelloop.selection import features
from labelloop.selection.features import Features
from labelloop.selection.select import Candidate, Pick
from labelloop.spec.learners import TEXT
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import batches, doubts, outputs, pool, runs, versions
from labelloop.store.tables import tasks as task_store
from labelloop.strategies import RANDOM
from labelloop.versions.version import VersionPair
from sync.push.batches import in_force

HOPES_S = 10.0
"""So long a batch whose answer is lost still fills its part of the window; then people get other tasks."""
MAX_UNCLEAR = 4
"""With so many batches whose answer is lost, another one would only be lost too."""
COMPARED = 1_000
"""With so many open tasks, the most useful ones, are those that come in compared: a larger window is varied enough."""
AT_A_TIME = 50
"""So many outputs are read at a time to be compared; of each little is kept."""
RECENT = 200
"""So many of those pushed last are not to be seen again in other words, and have the shares of the lanes among them: a
lane that is new to an old loop does not make up for the past."""


@dataclass(frozen=True, slots=True)
class Window:
    """As it is at one moment, and what waits before it."""

    pair: VersionPair
    """The versions in force."""
    within: int
    """So many of the best of what waits were looked at."""
    open_rows: Sequence[OpenTask]
    stands: list[Ranked]
    """The open tasks that people are served soon: nothing better waits, or is open."""
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


def look(conn: Conn, spec: LoopSpec, within: int | None = None) -> Window:
    within = within or _reach(spec)
    pair = in_force(conn, spec.name)
    on_the_way = [batch for batch in batches.open_(conn, spec.name) if batch.kind == BatchKind.TASKS]
    open_rows = task_store.in_review(conn, spec.name, pair)
    waiting = [
        Ranked(row.output_id, row.key, row.lane, row.utility, row.fresh)
        for row in pool.best(conn, spec.name, within, pair)
    ]
    # An open task counts whatever ranked it: until the newest version has been through, nothing better is known.
    # One that has as many annotations as people are asked fills no place: who skipped it is not served it again.
    filling = [opened(row, spec) for row in open_rows if row.annotated < max(row.overlap, spec.overlap) + row.more]
    since = versions.in_force_since(conn, spec.name)
    stands = standing(
        filling,
        waiting,
        window=spec.queue.window,
        reach=within,
        outdated={row.output_id for row in open_rows if row.fresh and since and row.pushed_at < since},
    )
    in_flight = sum(batch.size for batch in on_the_way if batch.age_s < HOPES_S)
    # Every one of them, whatever it is worth by now: new ones wait, or the window would grow with each promotion.
    places = max(0, min(MAX_BATCH, spec.queue.window - len(filling) - in_flight))
    queues = {lane: best_first(item for item in waiting if item.lane == lane) for lane in LANES}
    asked = sum(item.lane == SECOND for item in filling)  # what the last one there has skipped keeps no other out
    queues[SECOND] = [
        Ranked(row.output_id, row.key, SECOND, row.doubt)
        for row in doubts.most(conn, spec.name, max(0, _at_once(spec) - asked))
    ]
    return Window(
        pair=pair,
        within=within,
        open_rows=open_rows,
        stands=stands,
        queues=queues,
        places=places if len(on_the_way) < MAX_UNCLEAR else 0,
        pushed=task_store.pushed(conn, spec.name, RECENT),
        shares=shares(spec.queue.shares),
    )


def prepare(database: Database, spec: LoopSpec) -> tuple[Window, list[Pick]]:
    """The window, and who of the rule lane should come in, in this order: useful, and unlike what people saw."""
    within = _reach(spec)
    while True:
        with database.transaction() as conn:
            window = look(conn, spec, within)
        # How many each lane gets depends on how many wait, not on who they are.
        plain = [Pick(item.output_id, "") for item in window.queues["rule"]]
        n = sum(item.lane == "rule" for item in window.chosen(plain, window.places))
        picks, enough = _select(database, spec, window, n)
        if enough or len(plain) < within or within >= selection.MOST:
            return window, picks
        within = selection.MOST  # what waits first is nearly all the same


def _select(database: Database, spec: LoopSpec, window: Window, n: int) -> tuple[list[Pick], bool]:
    """The picks, and whether so many were there that are unlike each other and what people have seen."""
    if not n or not spec.queue.diversity or spec.queue.strategy == RANDOM:
        return [Pick(item.output_id, "") for item in window.queues["rule"][:n]], True
    picks, enough = list[Pick](), True
    # Those that no version in force has seen come only where the others do not suffice.
    for fresh in (True, False):
        waiting = [item for item in window.queues["rule"] if item.fresh is fresh]
        if not waiting or len(picks) == n:
            continue
        waiting = waiting[: selection.MOST]
        candidates = [Candidate(item.output_id, item.key, item.utility) for item in waiting]
        stands = [item.output_id for item in best_first(window.stands) if item.lane == "rule"][:COMPARED]
        known, open_, recent = _features(database, spec, [item.output_id for item in waiting], stands)
        picks += selection.select(
            candidates,
            n - len(picks),
            diversity=spec.queue.diversity,
            features=known,
            open_=open_,
            recent=recent,
        )
        enough = known is None or len({*known.groups} - {*_groups(open_), *_groups(recent)}) >= n
    return picks, enough


def _features(
    database: Database, spec: LoopSpec, candidates: Sequence[UUID], open_: Sequence[UUID]
) -> tuple[Features | None, ...]:
    """Of the candidates, of the tasks that stand open or were answered since a version learned, and of those pushed
    last: in one reading."""
    field, width = spec.field, spec.queue.embedding
    if width and spec.learner.reads != TEXT:
        field = None  # pictures are large, and there is something better
    with database.transaction() as conn:
        # What was answered teaches no less than what stands open, and the utilities do not know it yet either.
        open_ = list(dict.fromkeys([*open_, *runs.unlearned(conn, spec.name, COMPARED)]))[:COMPARED]
        recent = [id_ for id_ in task_store.recent(conn, spec.name, RECENT) if id_ not in set(open_)]
    ids = [*candidates, *open_, *recent]
    embeddings = None
    if width:
        said = [row.embedding for row in _seen(database, ids, None, embeddings=True)]
        # One of another width came when the loop said another.
        embeddings = [one if len(one or ()) == width else None for one in said]
    data: Iterable[Mapping[str, Any]] = (row.data for row in _seen(database, ids, field, embeddings=False))
    if spec.learner.fetch:
        data = with_pictures(database, None, spec, list(data))
    read = features.read(spec.learner.reads, field, data, embeddings)
    return features.split(read, len(candidates), len(open_), len(recent))


def _seen(
    database: Database, ids: Sequence[UUID], field: str | None, *, embeddings: bool
) -> Iterator[outputs.Comparable]:
    """In the order of `ids`, few at a time: a picture may be large."""
    for start in range(0, len(ids), AT_A_TIME):
        some = ids[start : start + AT_A_TIME]
        with database.transaction() as conn:
            seen = outputs.seen(conn, some, field, embeddings=embeddings)
        yield from (seen[id_] for id_ in some)


def _groups(known: Features | None) -> Sequence[int]:
    return [] if known is None else known.groups.tolist()


def opened(row: OpenTask, spec: LoopSpec) -> Ranked:
    """An open task. One that is asked a second time is no matter of the rule any more."""
    lane = SECOND if row.overlap > spec.overlap else row.lane
    return Ranked(row.output_id, row.key, lane, row.utility)


def _reach(spec: LoopSpec) -> int:
    return selection.reach(spec.queue.window, spec.queue.diversity)


def _at_once(spec: LoopSpec) -> int:
    """So many second opinions are open at most: where nobody is there to give them they must not fill the window."""
    return max(1, round(spec.queue.second * spec.queue.window)) if spec.queue.second else 0
