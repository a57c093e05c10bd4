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

from backend import models
from backend.learners import Learner
from backend.learners.predictions import Predictions
from labelloop import strategies
from labelloop.errors import Unreadable
from labelloop.labeling.structured import read_labels
from labelloop.outputs.output import unit_hash
from labelloop.queue.why import DRAWN_AT_RANDOM, of_confidence, of_evidence, whys
from labelloop.threads import one_thread
from labelloop.versions.version import VersionPair

Bytes = npt.NDArray[np.uint8]
"""Of a version's file. joblib sends an array that is given to many calls once; of a `bytes` it would send as many."""
LOADED = 4
"""Versions that a process keeps at hand."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The versions in force, by their ids, and what is to be worked out. None: the pipeline's own outputs."""

    champion: str | None
    ranker: str | None
    names: VersionPair
    """The same by their short names, as Postgres has them."""
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
    margins: list[float | None]
    """Of `labels`: the probability of each less that of the next likeliest label."""


def score(pair: Pair, champion: Bytes | None, ranker: Bytes | None, chunk: Chunk) -> Scores:
    """The same to the bit wherever it is done, if the machines are alike: each sum by one thread, in one piece."""
    n = len(chunk.ids)
    scores = Scores([None] * n, [None] * n, [None] * n, [None] * n, [None] * n)
    labels, ranks = _learner(pair.champion, champion), _learner(pair.ranker, ranker)
    data = list(map(msgspec.json.decode, chunk.data))
    from joblib import parallel_config

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
    """How much the ranker doubts each answer, 0 to 1; None where it cannot read the item, or never saw the label.

    Of one label 1 - its probability; of several the largest chance that the answer has one too many or too few. Of
    other answers the ranker's confidence in its own, where that is another.
    """
    found: list[float | None] = [None] * len(data)
    columns = {label: column for column, label in enumerate(ranker.classes)}
    with one_thread:
        positions, said = predict_readable(ranker, data)
    for row, position in enumerate(positions):
        answer = answers[position]
        if said.proba is None:
            found[position] = _doubt(said, row, answer)
        elif answer in columns:
            found[position] = float(np.clip(1.0 - said.proba[row, columns[answer]], 0.0, 1.0))
    return found


def _doubt(said: Predictions, row: int, answer: str) -> float | None:
    if said.labels[row] is None:
        return None
    if said.evidence is not None and (shares := said.evidence[row].get("labels")) is not None:
        try:
            given = set(read_labels(answer))
        except ValueError:  # the loop's answers were of another kind
            return None
        return max((1.0 - p if label in given else p for label, p in shares.items()), default=None)
    return 0.0 if said.labels[row] == answer else float(said.confidences[row])


def predict_readable(learner: Learner, data: Sequence[Mapping[str, object]]) -> tuple[list[int], Predictions]:
    """Positions of the items that the learner can read, and what it says of those."""
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


def _said(
    learner: Learner, data: Sequence[Mapping[str, object]], wanted: Sequence[bool]
) -> tuple[list[int], Predictions]:
    """As predict_readable, of the wanted items."""
    asked = [position for position, want in enumerate(wanted) if want]
    positions, said = predict_readable(learner, [data[position] for position in asked])
    return [asked[position] for position in positions], said


def _label(chunk: Chunk, positions: Sequence[int], said: Predictions, scores: Scores) -> None:
    margins: Sequence[float | None] = [None] * len(positions)
    if said.proba is not None and positions and said.proba.shape[1] > 1:
        margins = (1.0 - strategies.utilities("margin", said.proba)).tolist()
    for position, label, share, margin in zip(positions, said.labels, said.confidences.tolist(), margins, strict=True):
        if chunk.to_label[position] and label is not None:
            scores.labels[position], scores.confidences[position] = label, share
            scores.margins[position] = margin


def _rank(
    pair: Pair, learner: Learner, chunk: Chunk, positions: Sequence[int], said: Predictions, scores: Scores
) -> None:
    """By what the ranker says in the form that the strategy reads. Of a ranker without probabilities a strategy that
    reads those takes 1 - confidence; what else it reads only the pipeline can say, and the utility stays.
    """
    rows = [row for row, position in enumerate(positions) if chunk.to_rank[position] and said.labels[row] is not None]
    if not rows:
        return
    found: Sequence[float | None]
    if pair.strategy == strategies.RANDOM:
        # Another draw for each version, the same whenever and wherever it is made.
        found = [unit_hash("order", pair.names.name, str(chunk.ids[positions[row]])) for row in rows]
        words = [DRAWN_AT_RANDOM] * len(rows)
    elif not strategies.reads_probabilities(pair.strategy):
        evidence = [{} if said.evidence is None else said.evidence[row] for row in rows]
        found = [strategies.from_evidence(pair.strategy, one, learner.classes) for one in evidence]
        words = [of_evidence(pair.strategy, one) for one in evidence]
    elif said.proba is not None:
        found = strategies.utilities(pair.strategy, said.proba[rows]).tolist()
        words = whys(pair.strategy, said.proba[rows])
    else:
        sure = [float(said.confidences[row]) for row in rows]
        found, words = [1.0 - share for share in sure], [of_confidence(share) for share in sure]
    for row, utility, reason in zip(rows, found, words, strict=True):
        if utility is not None:
            scores.utilities[positions[row]], scores.whys[positions[row]] = utility, reason


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
