"""Scoring: what champion and ranker say of a chunk of outputs; pure but for the learners, and done anywhere.

Whoever scores needs our code and nothing else: models travel as bytes, and are the ones of their name or are refused.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import numpy.typing as npt
from joblib import parallel_config

from backend import models
from backend.learners import Learner
from backend.learners.said import Said
from labelloop import strategies
from labelloop.errors import Unreadable
from labelloop.outputs import unit_hash
from labelloop.threads import one_thread
from labelloop.why import whys

Bytes = npt.NDArray[np.uint8]
"""Of a version's file. joblib sends an array that is given to many calls once; of a `bytes` it would send as many."""
LOADED = 4
"""Versions that a process keeps at hand."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The versions in force, by their ids, and what is to be worked out. None: the pipeline's own outputs."""

    champion: str | None
    ranker: str | None
    version: str
    """Both as one name, as Label Studio's predictions have it."""
    strategy: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some outputs, item by item."""

    ids: Sequence[UUID]
    data: Sequence[str]
    """JSON, as Postgres has it."""
    to_label: Sequence[bool]
    """The champion has not labelled it yet."""
    to_rank: Sequence[bool]


@dataclass(frozen=True, slots=True)
class Scores:
    """What is new of a chunk, item by item; None: nothing is, or the learner cannot read the item."""

    labels: list[str | None]
    confidences: list[float | None]
    utilities: list[float | None]
    whys: list[str | None]


def score(pair: Pair, champion: Bytes | None, ranker: Bytes | None, chunk: Chunk) -> Scores:
    """The same to the bit wherever it is done, if the machines are alike: each sum by one thread, in one piece."""
    n = len(chunk.ids)
    scores = Scores([None] * n, [None] * n, [None] * n, [None] * n)
    labels, ranks = _learner(pair.champion, champion), _learner(pair.ranker, ranker)
    data = list(map(msgspec.json.decode, chunk.data))
    # dask would have scikit-learn cut its matrices into a piece for each of the cluster's cores.
    with one_thread, parallel_config("sequential", n_jobs=1):
        if labels is not None and labels is ranks:
            wanted = [a or b for a, b in zip(chunk.to_label, chunk.to_rank, strict=True)]
            positions, said = _said(labels, data, wanted)
            _label(chunk, positions, said, scores)
            _rank(pair, labels, chunk, positions, said, scores)
            return scores
        if labels is not None:
            _label(chunk, *_said(labels, data, chunk.to_label), scores)
        if ranks is not None:
            _rank(pair, ranks, chunk, *_said(ranks, data, chunk.to_rank), scores)
    return scores


def doubts(ranker: Learner, data: Sequence[Mapping[str, Any]], answers: Sequence[str]) -> list[float | None]:
    """1 - the probability of the answer's label. None where the ranker cannot read the item, or never saw the label."""
    found: list[float | None] = [None] * len(data)
    columns = {label: column for column, label in enumerate(ranker.classes)}
    with one_thread:
        positions, said = predict(ranker, data)
    if said.proba is None:
        return found
    for position, p in zip(positions, said.proba, strict=True):
        if answers[position] in columns:
            found[position] = float(np.clip(1.0 - p[columns[answers[position]]], 0.0, 1.0))
    return found


def predict(learner: Learner, data: Sequence[Mapping[str, object]]) -> tuple[list[int], Said]:
    """Positions of the items that the learner can read, and what it says of those."""
    positions = list(range(len(data)))
    try:
        return positions, learner.say(data)
    except Unreadable:
        pass
    try:
        learner.check(data)
    except Unreadable as exc:
        positions = [position for position in positions if position not in exc.faults]
    return positions, learner.say([data[position] for position in positions])


def _said(learner: Learner, data: Sequence[Mapping[str, object]], wanted: Sequence[bool]) -> tuple[list[int], Said]:
    """As predict, of the wanted items."""
    asked = [position for position, want in enumerate(wanted) if want]
    positions, said = predict(learner, [data[position] for position in asked])
    return [asked[position] for position in positions], said


def _label(chunk: Chunk, positions: Sequence[int], said: Said, scores: Scores) -> None:
    for position, label, share in zip(positions, said.labels, said.confidences.tolist(), strict=True):
        if chunk.to_label[position] and label is not None:
            scores.labels[position], scores.confidences[position] = label, share


def _rank(pair: Pair, learner: Learner, chunk: Chunk, positions: Sequence[int], said: Said, scores: Scores) -> None:
    proba = said.proba
    if proba is None or not strategies.reads_probabilities(pair.strategy):
        return  # what such a strategy reads only the pipeline can say: the utility stays
    rows = [row for row, position in enumerate(positions) if chunk.to_rank[position]]
    if not rows:
        return
    if pair.strategy == strategies.RANDOM:
        # Another draw for each version, the same whenever and wherever it is made.
        found = [unit_hash("order", pair.version, str(chunk.ids[positions[row]])) for row in rows]
    else:
        found = strategies.utilities(pair.strategy, proba[rows]).tolist()
    for row, utility, words in zip(rows, found, whys(pair.strategy, learner.classes, proba[rows]), strict=True):
        scores.utilities[positions[row]], scores.whys[positions[row]] = utility, words


_learners: dict[str, Learner] = {}
_reading = threading.Lock()


def _learner(version_id: str | None, raw: Bytes | None) -> Learner | None:
    """The version of this name, read once a process."""
    if version_id is None or raw is None:
        return None
    with _reading:
        learner = _learners.pop(version_id, None) or models.read(raw.tobytes(), version_id)
        _learners[version_id] = learner
        for forgotten in list(_learners)[:-LOADED]:
            del _learners[forgotten]
    return learner
