"""Scoring: labels by the champion and utilities by the ranker for a chunk of outputs. It runs in any process.

A process that scored needs only labelloop's code: model files are sent as bytes, and checked against their names.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt

from backend import models
from backend.learners import Learner
from backend.learners.predictions import Predictions
from labelloop import strategies
from labelloop.errors import Unreadable
from labelloop.outputs.output import unit_hash
from labelloop.queue.why import CHOSEN_AT_RANDOM, of_confidence, of_evidence, whys
from labelloop.threads import one_thread
from labelloop.versions.version import VersionPair

Bytes = npt.NDArray[np.uint8]
"""Content of a version's file. joblib sends an array that many calls share only once, a `bytes` with each call."""
LOADED = 4
"""Versions that a process keeps in memory."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Ids of the current champion and ranker, and the query strategy. None stands for the pipeline's own outputs."""

    champion: str | None
    ranker: str | None
    names: VersionPair
    """Champion and ranker by their short names, as stored in Postgres."""
    strategy: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Outputs to score, item by item."""

    ids: Sequence[UUID]
    data: Sequence[str]
    """JSON, as Postgres has it."""
    to_label: Sequence[bool]
    """Whether the champion has not labelled the item yet."""
    to_rank: Sequence[bool]
    """Whether the item needs a utility."""


@dataclass(frozen=True, slots=True)
class Scored:
    """New values of a chunk, item by item; None if an item has no new value or the learner cannot read it."""

    labels: list[str | None]
    confidences: list[float | None]
    utilities: list[float | None]
    whys: list[str | None]
    margins: list[float | None]
    """Probability of each label minus that of the second most probable label."""


def score_chunk(pair: Pair, champion: Bytes | None, ranker: Bytes | None, chunk: Chunk) -> Scored:
    """Score a chunk. On machines of the same kind the result is the same to the bit, since one thread does each sum."""
    n = len(chunk.ids)
    scored = Scored([None] * n, [None] * n, [None] * n, [None] * n, [None] * n)
    labels, ranks = _learner(pair.champion, champion), _learner(pair.ranker, ranker)
    data = list(map(msgspec.json.decode, chunk.data))
    from joblib import parallel_config

    # Under dask, scikit-learn would split its matrices into one piece for each core of the cluster.
    with one_thread, parallel_config("sequential", n_jobs=1):
        if labels is not None and labels is ranks:
            wanted = [a or b for a, b in zip(chunk.to_label, chunk.to_rank, strict=True)]
            positions, predicted = _predictions(labels, data, wanted)
            _label(chunk, positions, predicted, scored)
            _rank(pair, labels, chunk, positions, predicted, scored)
            return scored
        if labels is not None:
            _label(chunk, *_predictions(labels, data, chunk.to_label), scored)
        if ranks is not None:
            _rank(pair, ranks, chunk, *_predictions(ranks, data, chunk.to_rank), scored)
    return scored


def predict_readable(learner: Learner, data: Sequence[Mapping[str, object]]) -> tuple[list[int], Predictions]:
    """Return the positions of the items that the learner can read, and its predictions for them."""
    positions = list(range(len(data)))
    try:
        return positions, learner.predict(data)
    except Unreadable:
        pass
    try:
        learner.check(data)
    except Unreadable as exc:
        positions = [position for position in positions if position not in exc.faults]
    return positions, learner.predict([data[position] for position in positions])


def _predictions(
    learner: Learner, data: Sequence[Mapping[str, object]], wanted: Sequence[bool]
) -> tuple[list[int], Predictions]:
    """Return the same as predict_readable, for the wanted items only."""
    asked = [position for position, want in enumerate(wanted) if want]
    positions, predicted = predict_readable(learner, [data[position] for position in asked])
    return [asked[position] for position in positions], predicted


def _label(chunk: Chunk, positions: Sequence[int], predicted: Predictions, scored: Scored) -> None:
    margins: Sequence[float | None] = [None] * len(positions)
    if predicted.proba is not None and positions and predicted.proba.shape[1] > 1:
        margins = (1.0 - strategies.utilities("margin", predicted.proba)).tolist()
    for position, label, confidence, margin in zip(
        positions, predicted.labels, predicted.confidences.tolist(), margins, strict=True
    ):
        if chunk.to_label[position] and label is not None:
            scored.labels[position], scored.confidences[position] = label, confidence
            scored.margins[position] = margin


def _rank(
    pair: Pair, learner: Learner, chunk: Chunk, positions: Sequence[int], predicted: Predictions, scored: Scored
) -> None:
    """Set utility and reason of the items to rank, from the ranker's predictions."""
    rows = [
        row for row, position in enumerate(positions) if chunk.to_rank[position] and predicted.labels[row] is not None
    ]
    if not rows:
        return
    if pair.strategy == strategies.RANDOM:
        # The draw differs for each version pair, but is the same whenever and wherever it is made.
        draws = [unit_hash("order", pair.names.name, str(chunk.ids[positions[row]])) for row in rows]
        found: _Utilities = [(draw, CHOSEN_AT_RANDOM) for draw in draws]
    else:
        found = _utilities(pair.strategy, learner.classes, predicted, rows)
    for row, (utility, reason) in zip(rows, found, strict=True):
        if utility is not None:
            scored.utilities[positions[row]], scored.whys[positions[row]] = utility, reason


_Utilities = list[tuple[float | None, str | None]]


def _utilities(strategy: str, classes: Sequence[str], predicted: Predictions, rows: Sequence[int]) -> _Utilities:
    """Return utility and reason of these rows; a utility is None if only the pipeline has the strategy's evidence.

    If the ranker gives no probabilities, a strategy that reads probabilities takes 1 - confidence instead.
    """
    if not strategies.reads_probabilities(strategy):
        evidence = [{} if predicted.evidence is None else predicted.evidence[row] for row in rows]
        return [
            (strategies.from_evidence(strategy, one, classes), of_evidence(strategy, one, classes)) for one in evidence
        ]
    if predicted.proba is not None:
        proba = predicted.proba[rows]
        return list(zip(strategies.utilities(strategy, proba).tolist(), whys(strategy, proba, classes), strict=True))
    found = [(float(predicted.confidences[row]), predicted.labels[row]) for row in rows]
    return [(1.0 - confidence, of_confidence(confidence, label)) for confidence, label in found]


_learners: dict[str, Learner] = {}
_reading = threading.Lock()


def _learner(version_id: str | None, raw: Bytes | None) -> Learner | None:
    """Return the version with this id; each process reads it once."""
    if version_id is None or raw is None:
        return None
    with _reading:
        learner = _learners.pop(version_id, None) or models.read(raw.tobytes(), version_id)
        _learners[version_id] = learner
        for forgotten in list(_learners)[:-LOADED]:
            del _learners[forgotten]
    return learner
