"""Prelabel: the champion's labels and the newest version's utilities for what waits, in Postgres; push shows them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import msgspec
import numpy as np

from backend import models
from backend.score.engines import Engine, engine
from backend.score.scoring import Bytes, Chunk, Pair, Scores, doubts, score
from labelloop.pictures.kept import with_pictures
from labelloop.process.settings import Settings
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.tables import doubts as doubt_store
from labelloop.store.tables import jobs, loops, pool, prelabels, projects
from labelloop.store.tables import versions as version_store
from labelloop.store.tables.prelabels import Prelabel, ToScore
from labelloop.versions.version import VersionPair

CHUNK = 4096
logger = logging.getLogger(__name__)
Rows = list[ToScore]
T = TypeVar("T")


class _Overtaken(Exception):
    """The champion or the ranker has changed: who changed it has asked for another pass."""


def prelabel(
    database: Database,
    loop: str,
    models_dir: Path | None,
    stop: threading.Event | None = None,
    *,
    on: str = "local",
    cluster: str = "",
    workers: int = 0,
    told: Callable[[int], object] = lambda done: None,
    settings: Settings | None = None,
) -> int:
    """Bring up to date what stands open and what waits; returns how many outputs were. Run again it goes on.

    The open tasks first, then of each lane the most useful by their old utility. A chunk is one transaction; a push is
    asked for when the first of each lane are done, and at the end. `on`, `cluster` and `workers` say to the engine
    where the chunks are scored: the result is the same. `told` is called with how many are done so far. Without
    `settings` no picture is fetched.
    """
    with database.transaction() as conn:
        spec = loops.at_work(conn, loop)
        champion, ranker = who(conn, loop)
    if spec is None:
        return 0
    pair = Pair(champion, ranker, VersionPair.of(champion, ranker), spec.queue.strategy)
    files = {version: _file(models_dir, version) for version in {champion, ranker} if version is not None}
    stop = stop or threading.Event()
    done = 0
    try:
        with engine(on, cluster, workers) as found:
            before = -1
            while done > before:  # until nothing is left: what comes in meanwhile is nobody else's
                before = done
                with closing(_round(database, settings, spec, pair, files, found, stop)) as counts:
                    for n in counts:
                        done += n
                        told(done)
        if spec.queue.second and ranker is not None:
            _doubt(database, settings, spec, pair, files[ranker], stop)
        with database.transaction() as conn:
            _still(conn, loop, pair)
            if not stop.is_set():
                jobs.ask(conn, jobs.PUSH, loop)
    except _Overtaken:
        logger.info("loop %s: not %s any more", loop, pair.names.name)
    logger.info("loop %s: %d outputs prelabelled", loop, done)
    return done


def who(conn: Conn, loop: str) -> tuple[str | None, str | None]:
    """Ids of the champion and of the ranker; None where the pipeline's own outputs stand in."""
    champion = version_store.champion(conn, loop)
    return None if champion is None else champion.id, version_store.ranker(conn, loop)


def _round(
    database: Database,
    settings: Settings | None,
    spec: LoopSpec,
    pair: Pair,
    files: dict[str, Bytes],
    found: Engine,
    stop: threading.Event,
) -> Generator[int]:
    """Score what is stale now, chunk by chunk; yields how many outputs each had."""
    loop = spec.name
    versions = [files.get(version or "") for version in (pair.champion, pair.ranker)]
    stale = _ahead(_stale(database, loop, pair.names, stop))
    work = (
        ((rows, first), (pair, *versions, _seen(database, settings, spec, _chunk(pair, rows)))) for rows, first in stale
    )
    with closing(_ahead(found.map(score, work))) as scored:
        for (rows, first), scores in scored:
            with database.transaction() as conn:
                _still(conn, loop, pair)
                # A chunk that a crash of Postgres takes back is stale again, and found: no need to wait for the disk.
                conn.execute("set local synchronous_commit = off")
                prelabels.write(conn, _decide(pair, rows, scores))
                if first:
                    jobs.ask(conn, jobs.PUSH, loop)
            yield len(rows)


def _still(conn: Conn, loop: str, pair: Pair) -> None:
    if who(conn, loop) != (pair.champion, pair.ranker):
        raise _Overtaken


def _stale(database: Database, loop: str, names: VersionPair, stop: threading.Event) -> Generator[tuple[Rows, bool]]:
    """Chunks of what another pair has scored, and whether it is of the first that people may get.

    The open tasks, then a chunk of each lane in turn.
    """
    after: UUID | None = None
    while not stop.is_set():
        with database.transaction() as conn:
            rows = prelabels.of_tasks(conn, loop, names, CHUNK, after)
            lanes = pool.lanes(conn, loop)
        if not rows:
            break
        after = rows[-1].output_id
        yield rows, True
    left, first = dict.fromkeys(lanes, prelabels.START), True
    while left:
        for lane, bookmark in list(left.items()):
            if stop.is_set():
                return
            with database.transaction() as conn:
                rows = prelabels.of_pool(conn, loop, lane, names, CHUNK, bookmark)
            if rows:
                left[lane] = (rows[-1].utility, rows[-1].key)
                yield rows, first
            else:
                del left[lane]
        first = False


def _chunk(pair: Pair, rows: Rows) -> Chunk:
    return Chunk(
        ids=[row.output_id for row in rows],
        data=[row.data for row in rows],
        to_label=[_to_label(pair, row) for row in rows],
        to_rank=[row.lane == "rule" for row in rows],
    )


def _seen(database: Database, settings: Settings | None, spec: LoopSpec, chunk: Chunk) -> Chunk:
    """The chunk with the pictures that its addresses lead to."""
    if not spec.learner.fetch:
        return chunk
    items = with_pictures(database, settings, spec, list(map(msgspec.json.decode, chunk.data)))
    return replace(chunk, data=[json.dumps(item) for item in items])


def _to_label(pair: Pair, row: ToScore) -> bool:
    """Whether another than the champion gave the label: a new ranker alone changes no label."""
    return bool(row.champion != pair.names.champion)


def _decide(pair: Pair, rows: Rows, scores: Scores) -> Iterator[Prelabel]:
    """What a learner cannot read keeps what it had, and counts as seen by it."""
    for i, row in enumerate(rows):
        label, confidence, margin = scores.labels[i], scores.confidences[i], scores.margins[i]
        if label is None and pair.champion is None and _to_label(pair, row):
            label, confidence = row.pipeline_label, row.pipeline_confidence
        elif label is None:
            label, confidence, margin = row.label, row.confidence, row.margin
        yield Prelabel(
            row.output_id,
            scores.utilities[i],
            label,
            confidence,
            pair.names.champion,
            pair.names.ranker,
            scores.whys[i],
            margin,
        )


def _doubt(
    database: Database, settings: Settings | None, spec: LoopSpec, pair: Pair, file: Bytes, stop: threading.Event
) -> None:
    """How much the ranker doubts what one person answered."""
    loop = spec.name
    assert pair.ranker is not None
    ranker = models.read(file.tobytes(), pair.ranker)
    after: UUID | None = None
    while not stop.is_set():
        with database.transaction() as conn:
            rows = doubt_store.unseen(conn, loop, pair.names, CHUNK, after)
        if not rows:
            return
        data = with_pictures(database, settings, spec, [row.data for row in rows])
        found = doubts(ranker, data, [row.label for row in rows])
        with database.transaction() as conn:
            projects.lock_hop(conn, loop, "answers")
            _still(conn, loop, pair)
            said = {row.output_id: doubt for row, doubt in zip(rows, found, strict=True)}
            doubt_store.write(conn, loop, pair.names, said, {row.output_id: row.seq for row in rows})
        after = rows[-1].output_id


def _file(models_dir: Path | None, version: str) -> Bytes:
    return np.frombuffer(models.verify(models_dir, version), np.uint8)


def _ahead(items: Generator[T]) -> Generator[T]:
    """The same, and while one is used the next is made: Postgres reads and writes while the learner works."""
    with ThreadPoolExecutor(1) as thread:
        try:
            coming = thread.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = thread.submit(next, items, None)
                yield item
        finally:
            thread.submit(items.close).result()
