"""Prelabel: store the champion's labels and the newest version's utilities of waiting outputs; push uses them."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import numpy as np

from backend import models
from backend.encode.children import Stopped
from backend.encode.inputs import with_inputs
from backend.encode.kept import Encoding
from backend.score.doubts import Support, doubt, doubts
from backend.score.engines import Engine, engine
from backend.score.fill import fill
from backend.score.scoring import Bytes, Chunk, Pair, Scored, score_chunk
from labelloop.labeling.controls import ControlTag
from labelloop.process.settings import Settings
from labelloop.queue.lanes import Lane
from labelloop.spec.learners import facts_of
from labelloop.spec.loop import LoopSpec
from labelloop.store.database import Conn, Database
from labelloop.store.promises import accepted, certificates, trials
from labelloop.store.tables import doubts as doubt_store
from labelloop.store.tables import jobs, loops, pool, prelabels, projects
from labelloop.store.tables import versions as version_store
from labelloop.store.tables.doubts import Undoubted
from labelloop.store.tables.prelabels import Prelabel, ToScore
from labelloop.versions.version import VersionPair

CHUNK = 4096
logger = logging.getLogger(__name__)
Rows = list[ToScore]
Inputs = Callable[[Sequence[Mapping[str, Any]]], list[Mapping[str, Any]]]
"""Adds to items what the learner reads besides them."""
T = TypeVar("T")


class _Overtaken(Exception):
    """The champion or the ranker has changed, and that change has requested another pass."""


def prelabel(
    database: Database,
    loop: str,
    models_dir: Path | None,
    stop: threading.Event | None = None,
    *,
    on: str = "local",
    cluster: str = "",
    workers: int = 0,
    report_progress: Callable[[int], object] = lambda done: None,
    settings: Settings | None = None,
    encoding: Encoding | None = None,
) -> int:
    """Score the open tasks and the waiting outputs with the current models; return the number of outputs scored.

    Open tasks come first, then the most useful outputs of each lane by their old utility. Each chunk is one
    transaction, so an interrupted pass can be resumed. A push is requested after the first chunk of each lane, and at
    the end. `on`, `cluster` and `workers` choose the engine, which does not change the result. `report_progress` gets
    the number of outputs done so far. Without `settings` no picture is fetched. `encoding` computes
    sentence vectors; None computes them in this process. On another engine than "local"
    they are computed there, before the scoring.
    """
    with database.transaction() as conn:
        spec = loops.at_work(conn, loop)
        champion, ranker = champion_and_ranker(conn, loop)
    if spec is None:
        return 0
    if on != "local":
        fill(database, loop, stop, on=on, cluster=cluster, workers=workers)
    inputs = partial(with_inputs, database, settings, spec, encoding=encoding)
    pair = Pair(champion, ranker, VersionPair.of(champion, ranker), spec.queue.strategy)
    files = {version: _file(models_dir, version) for version in {champion, ranker} if version is not None}
    stop = stop or threading.Event()
    done = 0
    try:
        with engine(on, cluster, workers) as found:
            before = -1
            while done > before:  # until nothing is left, so that outputs which arrive meanwhile are scored too
                before = done
                with closing(_round(database, spec, inputs, pair, files, found, stop)) as counts:
                    for n in counts:
                        done += n
                        report_progress(done)
        if spec.queue.second and ranker is not None:
            _doubt(database, loop, inputs, pair, files[ranker], stop)
        with database.transaction() as conn:
            _still(conn, loop, pair)
            if not stop.is_set():
                jobs.ask(conn, jobs.PUSH, loop)
    except Stopped:
        logger.info("loop %s: stopped while texts were encoded", loop)
    except _Overtaken:
        logger.info("loop %s: the champion or the ranker of %s changed; another pass follows", loop, pair.names.name)
    logger.info("loop %s: %d outputs prelabelled", loop, done)
    return done


def champion_and_ranker(conn: Conn, loop: str) -> tuple[str | None, str | None]:
    """Return the ids of the champion and of the ranker; None for the pipeline's own outputs."""
    champion = version_store.champion(conn, loop)
    return None if champion is None else champion.id, version_store.ranker(conn, loop)


def _round(
    database: Database,
    spec: LoopSpec,
    inputs: Inputs,
    pair: Pair,
    files: dict[str, Bytes],
    found: Engine,
    stop: threading.Event,
) -> Generator[int]:
    """Score the stale outputs, chunk by chunk; yield the number of outputs of each chunk."""
    loop = spec.name
    versions = [files.get(version or "") for version in (pair.champion, pair.ranker)]
    stale = _ahead(_stale(database, loop, pair.names, stop))
    work = (((rows, first), (pair, *versions, _with_inputs(spec, inputs, _chunk(pair, rows)))) for rows, first in stale)
    with closing(_ahead(found.map(score_chunk, work))) as results:
        for (rows, first), scored in results:
            with database.transaction() as conn:
                _still(conn, loop, pair)
                # No need to wait for the disk: a chunk that is lost in a crash of Postgres is found stale again.
                conn.execute("set local synchronous_commit = off")
                prelabels.write(conn, _decide(spec.config.answer, pair, rows, scored))
                _accept(conn, spec, pair, rows)
                if first:
                    jobs.ask(conn, jobs.PUSH, loop)
            yield len(rows)


def _accept(conn: Conn, spec: LoopSpec, pair: Pair, rows: Rows) -> None:
    """Let those of the outputs pass unseen that the champion's certificate covers."""
    if spec.accept is None or pair.champion is None:
        return
    certificate = certificates.in_force(conn, spec.name)
    if certificate is not None and certificate.basis == trials.basis(spec):
        accepted.accept(conn, certificate, [row.output_id for row in rows])


def _still(conn: Conn, loop: str, pair: Pair) -> None:
    if champion_and_ranker(conn, loop) != (pair.champion, pair.ranker):
        raise _Overtaken


def _stale(database: Database, loop: str, names: VersionPair, stop: threading.Event) -> Generator[tuple[Rows, bool]]:
    """Yield chunks that another version pair has scored, and whether annotators may get them soon.

    First the open tasks, then a chunk of each lane in turn. The open tasks and the first chunk of a lane count as soon.
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


def _with_inputs(spec: LoopSpec, inputs: Inputs, chunk: Chunk) -> Chunk:
    """Return the chunk with the pictures at its addresses, or with its sentence vectors."""
    if not spec.learner.fetch and spec.learner.encoder is None:
        return chunk
    items = inputs(list(map(msgspec.json.decode, chunk.data)))
    return replace(chunk, data=[json.dumps(item) for item in items])


def _to_label(pair: Pair, row: ToScore) -> bool:
    """Whether the label is not the champion's; a new ranker alone changes no label."""
    return bool(row.champion != pair.names.champion)


def _decide(control: ControlTag, pair: Pair, rows: Rows, scored: Scored) -> Iterator[Prelabel]:
    """Yield the new prelabels. An item that the learner cannot read keeps its old label, and counts as scored.

    Gold keeps the pipeline's own answer: where that is wrong, it shows whether people look before they submit.
    """
    for i, row in enumerate(rows):
        # A version that was trained before a change of the labels knows former ones.
        label, confidence, margin = control.today(scored.labels[i]), scored.confidences[i], scored.margins[i]
        if row.lane == Lane.GOLD:
            label, confidence, margin = row.pipeline_label, row.pipeline_confidence, None
        elif label is None and pair.champion is None and _to_label(pair, row):
            label, confidence = row.pipeline_label, row.pipeline_confidence
        elif label is None:
            label, margin = row.label, row.margin
            # Another model's confidence must not count as the champion's: its certificate would cover the output.
            confidence = None if _to_label(pair, row) else row.confidence
        yield Prelabel(
            row.output_id,
            scored.utilities[i],
            label,
            confidence,
            pair.names.champion,
            pair.names.ranker,
            scored.whys[i],
            margin,
        )


def _doubt(database: Database, loop: str, inputs: Inputs, pair: Pair, file: Bytes, stop: threading.Event) -> None:
    """Store how likely each answer of a single person is incorrect, by a model that was not trained on it.

    That is the ranker for answers that its run was not trained on, and else the run's out-of-fold prediction. An answer
    without one keeps the doubt of an earlier version, which was not trained on it either.
    """
    assert pair.ranker is not None
    ranker = models.read(file.tobytes(), pair.ranker)
    with database.transaction() as conn:
        found = version_store.ranker_and_run(conn, loop)
    run_id = None if found is None or facts_of(ranker.name).is_frozen else found[1]
    after: UUID | None = None
    while not stop.is_set():
        with database.transaction() as conn:
            rows = doubt_store.unseen(conn, loop, pair.names, CHUNK, after, run_id)
        if not rows:
            return
        new = [row for row in rows if row.trained_label is None]
        data = inputs([row.data for row in new])
        by_output = dict(zip((row.output_id for row in new), doubts(ranker, data, [r.label for r in new]), strict=True))
        by_output |= {row.output_id: _out_of_fold(row) for row in rows if row.given is not None}
        with database.transaction() as conn:
            projects.lock_hop(conn, loop, "answers")
            _still(conn, loop, pair)
            doubt_store.write(conn, loop, pair.names, by_output, {row.output_id: row.seq for row in rows})
            doubt_store.keep(conn, pair.names, [row.output_id for row in rows if row.output_id not in by_output])
        after = rows[-1].output_id


def _out_of_fold(row: Undoubted) -> float | None:
    """Return the doubt about an answer by the run's out-of-fold prediction; None for a third answer."""
    assert row.given is not None
    assert row.of_other is not None
    if row.label == row.trained_label:
        return doubt(Support(row.given, row.other, row.of_other))
    if row.label == row.other:
        return doubt(Support(row.of_other, row.trained_label, row.given))
    return None


def _file(models_dir: Path | None, version: str) -> Bytes:
    return np.frombuffer(models.verify(models_dir, version), np.uint8)


def _ahead(items: Generator[T]) -> Generator[T]:
    """Yield the same items, and produce the next one while one is used: Postgres works while the learner does."""
    with ThreadPoolExecutor(1) as thread:
        try:
            coming = thread.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = thread.submit(next, items, None)
                yield item
        finally:
            thread.submit(items.close).result()
