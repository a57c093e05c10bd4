"""The window: which outputs should come into it next. It is read twice: before selection, and again to claim.

Selection compares hundreds or thousands of outputs, so it runs between the two reads, where it blocks nobody. Outputs
that are gone at the second read are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any
from uuid import UUID

import numpy.typing as npt

from labelloop import selection
from labelloop.labeling.media import media_fields
from labelloop.pictures.kept import with_pictures
from labelloop.queue.batches import BatchKind, OpenBatch
from labelloop.queue.budget import Origin, Spent
from labelloop.queue.order import LANES, RECENT, SECOND, Ranked, best_first, choose, shares, standing
from labelloop.queue.tasks import OpenTask
from labelloop.selection import features
from labelloop.selection.features import Features
from labelloop.selection.select import Candidate, Pick
from labelloop.spec.learners import TEXT
from labelloop.spec.loop import LoopSpec
from labelloop.store import budget
from labelloop.store.database import Conn, Database
from labelloop.store.media import holding
from labelloop.store.questions import comparable, new_answers
from labelloop.store.tables import batches, doubts, versions
from labelloop.store.tables import tasks as task_store
from labelloop.strategies import RANDOM
from labelloop.versions.version import VersionPair
from sync.push import sentences
from sync.push.batches import in_force
from sync.push.budget import best

HOPES_S = 10.0
"""Seconds for which a batch whose reply was lost keeps its places in the window; after that they are refilled."""
MAX_UNCLEAR = 4
"""While this many batches have lost their reply, no other one is sent: its reply would be lost too."""
COMPARED = 1_000
"""Newcomers are compared with this many of the most useful open tasks; a larger window is varied enough."""
AT_A_TIME = 50
"""Outputs read at a time for a comparison, which keeps little of each."""


@dataclass(frozen=True, slots=True)
class Window:
    """The window in Label Studio and the outputs that wait for it, at one moment."""

    pair: VersionPair
    """The versions in force."""
    within: int
    """How many of the best waiting outputs were read."""
    open_rows: Sequence[OpenTask]
    stands: list[Ranked]
    """The open tasks that are served soon, because no better ones wait or are open."""
    queues: Mapping[str, Sequence[Ranked]]
    """Outputs that could come in, by lane, best first."""
    free: int
    """Free places."""
    pushed: Mapping[str, int]
    """How many of the RECENT outputs pushed last came from each lane."""
    shares: Mapping[str, float]
    """The share of the window that each lane should have."""
    spent: Spent | None
    """The budget and the tasks of today; None without a budget."""
    origins: Mapping[UUID, Origin]
    """Sources and labels of the rule lane's queue; empty if the budget limits neither."""

    @property
    def places(self) -> int:
        """The free places that the day's budget lets be filled."""
        left = None if self.spent is None else self.spent.left
        return self.free if left is None else min(self.free, left)

    def within_budget(self, ids: Iterable[UUID], after: Sequence[UUID] = ()) -> Iterable[UUID]:
        """Return those of these outputs of the rule lane that the budget lets in besides the ones before (`after`)."""
        if self.spent is None or not self.spent.budget.has_parts:
            return ids
        return islice(self.spent.within(chain(after, ids), self.origins), len(after), None)

    def chosen(self, picks: Sequence[Pick], places: int) -> list[Ranked]:
        """Return the outputs that come in now: at most `places`, and of the rule lane only those that were picked."""
        waits = {item.output_id: item for item in self.queues["rule"]}
        coming = self.within_budget(pick.output_id for pick in picks if pick.output_id in waits)
        queues = {**self.queues, "rule": [waits[id_] for id_ in coming]}
        return choose(queues, min(places, self.places), shares=self.shares, pushed=self.pushed)


def look(conn: Conn, spec: LoopSpec, within: int | None = None, first_look_s: float = 0.0) -> Window:
    """Read the window, and the `within` best outputs that wait; as many as selection needs if that is None.

    Outputs of the last `first_look_s` seconds whose media were not looked at yet are left out.
    """
    within = within or _reach(spec)
    pair = in_force(conn, spec.name)
    # Before the open tasks: a batch that arrives in between is counted twice rather than not at all.
    on_the_way = [batch for batch in batches.open_(conn, spec.name) if batch.kind == BatchKind.TASKS]
    open_rows = task_store.in_review(conn, spec.name, pair)
    filling = [opened(row, spec) for row in open_rows if _fills_a_place(row, spec)]
    free = _free(spec, _filled(spec, filling), on_the_way)
    spent = budget.spent(conn, spec)
    rows, origins = best(conn, spec.name, within, pair, spent, free)
    if first_look_s and spec.media.check and media_fields(spec.labels_xml):
        young = holding.young(conn, [row.output_id for row in rows], first_look_s)
        rows = [row for row in rows if row.output_id not in young]
    waiting = [Ranked(row.output_id, row.key, row.lane, row.utility, row.fresh) for row in rows]
    # An open task counts whatever version ranked it: until the newest version has scored all, nothing better is known.
    since = versions.in_force_since(conn, spec.name)
    outdated = {row.output_id for row in open_rows if row.fresh and since and row.pushed_at < since}
    return Window(
        pair=pair,
        within=within,
        open_rows=open_rows,
        stands=standing(filling, waiting, window=spec.queue.window, reach=within, outdated=outdated),
        queues=_queues(conn, spec, waiting, filling),
        free=free,
        pushed=task_store.pushed(conn, spec.name, RECENT),
        shares=shares(spec.queue.shares),
        spent=spent,
        origins=origins,
    )


def _fills_a_place(row: OpenTask, spec: LoopSpec) -> bool:
    """Whether annotators are still asked. Each annotation counts, a skip too: who skipped is not served it again."""
    return row.annotated < max(row.overlap, spec.overlap) + row.more


def _filled(spec: LoopSpec, filling: Sequence[Ranked]) -> int:
    """Return how many places the open tasks fill. Further opinions fill half of the window at most: a person who works
    alone cannot give them, and gets new tasks all the same.
    """
    if spec.opinions is None:
        return len(filling)
    further = sum(item.lane == SECOND for item in filling)
    return len(filling) - further + min(further, spec.queue.window // 2)


def _queues(
    conn: Conn, spec: LoopSpec, waiting: Sequence[Ranked], filling: Sequence[Ranked]
) -> dict[str, Sequence[Ranked]]:
    """Return what could come in from each lane, and the answered outputs that need a second opinion most."""
    queues: dict[str, Sequence[Ranked]] = {
        lane: best_first(item for item in waiting if item.lane == lane) for lane in LANES
    }
    asked = sum(item.lane == SECOND for item in filling)  # a task that its last annotator skipped keeps no other out
    queues[SECOND] = [
        Ranked(row.output_id, row.key, SECOND, row.doubt)
        for row in doubts.most(conn, spec.name, max(0, _at_once(spec) - asked))
    ]
    return queues


def _free(spec: LoopSpec, filled: int, on_the_way: Sequence[OpenBatch]) -> int:
    """Return the number of free places. Every open task fills one, whatever its utility is by now: otherwise the window
    would grow with each promotion.
    """
    if len(on_the_way) >= MAX_UNCLEAR:
        return 0
    in_flight = sum(batch.size for batch in on_the_way if batch.age_s < HOPES_S)
    return max(0, spec.queue.window - filled - in_flight)


def prepare(database: Database, spec: LoopSpec, first_look_s: float = 0.0) -> tuple[Window, list[Pick]]:
    """Return the window and picks of the rule lane, the first to come in first: useful outputs, unlike those that
    people saw.
    """
    within = _reach(spec)
    while True:
        with database.transaction() as conn:
            window = look(conn, spec, within, first_look_s)
        # How many places each lane gets depends on how many outputs wait, not on which.
        plain = [Pick(item.output_id, "") for item in window.queues["rule"]]
        n = sum(item.lane == "rule" for item in window.chosen(plain, window.places))
        picks, enough = _select(database, spec, window, n)
        if enough or len(plain) < within or within >= selection.MOST:
            return window, picks
        within = selection.MOST  # the best waiting outputs are nearly all alike


def _select(database: Database, spec: LoopSpec, window: Window, n: int) -> tuple[list[Pick], bool]:
    """Return the picks, and whether `n` of them differ from each other and from the tasks that people saw."""
    everything = len(window.queues["rule"]) <= n  # then there is nothing to choose
    if not n or everything or not spec.queue.diversity or spec.queue.strategy == RANDOM:
        waits = (item.output_id for item in window.queues["rule"])
        return [Pick(id_, "") for id_ in islice(window.within_budget(waits), n)], True
    picks, enough = list[Pick](), True
    # Outputs that the versions in force have not scored come only if the others do not suffice.
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
            keep=partial(window.within_budget, after=[pick.output_id for pick in picks]),
        )
        enough = known is None or len({*known.groups} - {*_groups(open_), *_groups(recent)}) >= n
    return picks, enough


def _features(
    database: Database, spec: LoopSpec, candidates: Sequence[UUID], open_: Sequence[UUID]
) -> tuple[Features | None, ...]:
    """Read, in one pass, the features of the candidates, of the tasks that are open or were answered since the newest
    version was trained, and of the outputs pushed last.
    """
    field, width = spec.field, spec.queue.embedding
    if width and spec.learner.reads != TEXT:
        field = None  # pictures are large, and embeddings say more
    with database.transaction() as conn:
        # Answers that no version was trained on yet count like open tasks: the utilities do not know either of them.
        open_ = list(dict.fromkeys([*open_, *new_answers.not_yet_trained_on(conn, spec.name, COMPARED)]))[:COMPARED]
        recent = [id_ for id_ in task_store.recent(conn, spec.name, RECENT) if id_ not in set(open_)]
    ids = [*candidates, *open_, *recent]
    embeddings: Sequence[npt.ArrayLike | None] | None = None
    if width:
        found = [row.embedding for row in _seen(database, ids, None, embeddings=True)]
        # An embedding of another width came when the loop's spec wanted that width.
        embeddings = [one if len(one or ()) == width else None for one in found]
    data: Iterable[Mapping[str, Any]] = (row.data for row in _seen(database, ids, field, embeddings=False))
    if spec.learner.fetch:
        data = _pictures(database, spec, data)
    if not width and field is not None and spec.learner.encoder is not None:
        data, hashes = sentences.beginnings(data, field)
        embeddings = sentences.vectors_of(database, spec, hashes, len(candidates))
    read = features.read(spec.learner.reads, field, data, embeddings)
    return features.split(read, len(candidates), len(open_), len(recent))


def _pictures(database: Database, spec: LoopSpec, data: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the items with their kept pictures; a few pictures are in memory at a time."""
    items = iter(data)
    while some := list(islice(items, AT_A_TIME)):
        yield from with_pictures(database, None, spec, some)


def _seen(
    database: Database, ids: Sequence[UUID], field: str | None, *, embeddings: bool
) -> Iterator[comparable.Comparable]:
    """Yield rows in the order of `ids`. Few are read at a time, since a picture may be large."""
    for start in range(0, len(ids), AT_A_TIME):
        some = ids[start : start + AT_A_TIME]
        with database.transaction() as conn:
            seen = comparable.seen(conn, some, field, embeddings=embeddings)
        yield from (seen[id_] for id_ in some)


def _groups(known: Features | None) -> Sequence[int]:
    return [] if known is None else known.groups.tolist()


def opened(row: OpenTask, spec: LoopSpec) -> Ranked:
    """Return an open task as the window ranks it. A second opinion has a lane of its own."""
    lane = SECOND if row.overlap > spec.overlap else row.lane
    return Ranked(row.output_id, row.key, lane, row.utility)


def _reach(spec: LoopSpec) -> int:
    return selection.reach(spec.queue.window, spec.queue.diversity)


def _at_once(spec: LoopSpec) -> int:
    """Return how many second opinions may be open: without anybody to give them, they must not fill the window."""
    return max(1, round(spec.queue.second * spec.queue.window)) if spec.queue.second else 0
