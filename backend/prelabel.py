"""Prelabel: the champion's labels and the newest version's utilities for what waits, in Postgres; push shows them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend import models
from backend.learners import Learner
from labelloop import strategies
from labelloop.errors import Unreadable
from labelloop.spec import LoopSpec
from labelloop.store import jobs, loops, prelabels
from labelloop.store import versions as version_store
from labelloop.store.database import Conn, Database
from labelloop.store.prelabels import Prelabel
from labelloop.versions import short, shown_version

CHUNK = 256
logger = logging.getLogger(__name__)
Proba = npt.NDArray[np.float64]


def prelabel(database: Database, loop: str, models_dir: Path | None, stop: threading.Event | None = None) -> int:
    """Bring up to date what waits; returns how many outputs were. Run again it goes on where it stopped.

    A chunk is one transaction. When the champion or the ranker changes meanwhile this ends: who changed it has asked
    for another.
    """
    with database.transaction() as conn:
        spec = loops.get(conn, loop)
        champion_id, ranker_id = who(conn, loop)
    if spec is None:
        return 0
    champion = None if champion_id is None else models.load(models_dir, champion_id)
    ranker = None if ranker_id is None else models.load(models_dir, ranker_id)
    done = 0
    while stop is None or not stop.is_set():
        with database.transaction() as conn:
            rows = prelabels.stale(conn, loop, shown_version(champion_id, ranker_id), CHUNK)
        decided = _decide(spec, rows, (champion_id, champion), (ranker_id, ranker)) if rows else []
        with database.transaction() as conn:
            if who(conn, loop) != (champion_id, ranker_id):
                break
            if not rows:
                jobs.ask(conn, jobs.PUSH, loop)
                break
            prelabels.write(conn, decided)
        done += len(rows)
    logger.info("loop %s: %d outputs prelabelled", loop, done)
    return done


def who(conn: Conn, loop: str) -> tuple[str | None, str | None]:
    """Ids of the champion and of the ranker; None where the pipeline's own outputs stand in."""
    champion = version_store.champion(conn, loop)
    return None if champion is None else champion["id"], version_store.ranker(conn, loop)


def predict(learner: Learner, data: Sequence[Mapping[str, object]]) -> tuple[list[int], Proba]:
    """Positions of the items that the learner can read, and its probabilities for those."""
    positions = list(range(len(data)))
    try:
        learner.check(data)
    except Unreadable as exc:
        positions = [position for position in positions if position not in exc.faults]
    return positions, learner.predict_proba([data[position] for position in positions])


def _decide(
    spec: LoopSpec,
    rows: Sequence[Mapping[str, Any]],
    champion: tuple[str | None, Learner | None],
    ranker: tuple[str | None, Learner | None],
) -> list[Prelabel]:
    """Pure but for the learners. What a learner cannot read keeps what it had, and counts as seen by it."""
    to_label = [i for i, row in enumerate(rows) if row["version"].partition("+")[0] != short(champion[0])]
    to_rank = [i for i, row in enumerate(rows) if row["lane"] == "rule"]
    version = shown_version(champion[0], ranker[0])
    labels = [(row["label"], row["confidence"]) for row in rows]
    utilities: list[float | None] = [None] * len(rows)
    if champion[1] is None:
        for i in to_label:
            labels[i] = (rows[i]["pipeline_label"], rows[i]["pipeline_confidence"])
    else:
        positions, proba = predict(champion[1], [rows[i]["data"] for i in to_label])
        for position, p in zip(positions, proba, strict=True):
            labels[to_label[position]] = (champion[1].classes[int(p.argmax())], float(min(p.max(), 1.0)))
    if ranker[1] is not None and to_rank:
        positions, proba = predict(ranker[1], [rows[i]["data"] for i in to_rank])
        # For `random`: another draw for each chunk, the same whenever it is made.
        rng = np.random.default_rng(int.from_bytes(rows[0]["output_id"].bytes[:8]))
        if positions:
            found = strategies.utilities(spec.queue.strategy, proba, rng)
            for position, utility in zip(positions, found, strict=True):
                utilities[to_rank[position]] = float(utility)
    return [
        Prelabel(row["output_id"], utility, *label, version)
        for row, label, utility in zip(rows, labels, utilities, strict=True)
    ]
