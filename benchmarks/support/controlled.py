"""Simulated loops with a control lane: planted and real sets, a fast learner, and answers in the order asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Self
from uuid import UUID

import numpy as np
import numpy.typing as npt

from backend.learners.predictions import Predictions, from_proba
from console.simulate import files
from console.simulate.asking import asker
from console.simulate.labelled import EMBEDDINGS, Labelled
from console.simulate.learning import Codes, study
from console.simulate.options import Variant
from console.simulate.replay import Moment
from labelloop.versions.items import AnsweredItem

Floats = npt.NDArray[np.float64]
WINDOW = 50
"""Answers between two versions."""
HOLDOUT_SHARE = 0.25
"""Share of the window for the hold-out lane, as by default."""
HOLDOUT = 0.2
"""Share of all outputs that belong to the hold-out lane, as by default."""
SHRUNK = 0.2
"""Share of the covariance that is replaced by a multiple of the identity."""
WIDTH = 32
"""Numbers that stand for a text."""
PLANTED_ITEMS = 12_000
TEST_SHARE = 0.35
"""Share of the items that a loop never sees, at most MOST_TESTED."""
MOST_TESTED = 4_000


class Discriminant:
    """Linear discriminant analysis with a shrunken covariance, on rows of a matrix: a learner for this benchmark."""

    name: ClassVar[str] = "discriminant"
    params: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, features: Floats, codes: Codes) -> None:
        self.features = features
        self._codes = codes
        self.classes: tuple[str, ...] = ()
        self.estimator: Any = None

    def check(self, data: Sequence[Mapping[str, object]]) -> None:
        """Accept all items."""

    def fit(
        self,
        data: Sequence[Mapping[str, object]],
        labels: Sequence[str],
        rng: np.random.Generator,
        weights: Sequence[float] | None = None,
    ) -> Self:
        names, codes = np.unique(np.array(labels), return_inverse=True)
        self.classes, self.estimator = tuple(names.tolist()), _discriminant(self.features[_rows(data)], codes)
        return self

    def predict(self, data: Sequence[Mapping[str, object]]) -> Predictions:
        return from_proba(self.classes, _softmax(self.features[_rows(data)], *self.estimator))

    def learn(self, rows: Codes, seed: int = 0, on: Codes | slice = slice(None)) -> tuple[Codes, Floats]:
        """Train on these rows. Return their classes, and the probabilities of these classes for the rows `on`."""
        classes, places = np.unique(self._codes[rows], return_inverse=True)
        return classes, _softmax(self.features[on], *_discriminant(self.features[rows], places))


def _rows(data: Sequence[Mapping[str, Any]]) -> list[int]:
    return [item["row"] for item in data]


def _discriminant(features: Floats, codes: Codes) -> tuple[Floats, Floats]:
    counts = np.bincount(codes)
    means = np.zeros((len(counts), features.shape[1]))
    np.add.at(means, codes, features)
    means /= counts[:, None]
    off = features - means[codes]
    covariance = off.T @ off / max(len(features) - len(counts), 1)
    scale = np.trace(covariance) / len(covariance) + 1e-6
    slopes = np.linalg.solve((1 - SHRUNK) * covariance + SHRUNK * scale * np.eye(len(covariance)), means.T)
    prior = np.log((counts + 1) / (counts.sum() + len(counts)))
    return slopes, prior - (means.T * slopes).sum(axis=0) / 2


def _softmax(features: Floats, slopes: Floats, constants: Floats) -> Floats:
    z = features @ slopes + constants
    z -= z.max(axis=1, keepdims=True)
    proba: Floats = np.exp(z, out=z)
    proba /= proba.sum(axis=1, keepdims=True)
    return proba


@dataclass(frozen=True, slots=True)
class Recipe:
    """A kind of loop."""

    name: str
    data: str
    """A planted kind, or the name of a real set."""
    strategy: str
    diversity: float
    control: float
    """Share of the window for the control lane."""
    sent: float = 1.0
    """Share of the outputs that the trigger sends: those with the lowest confidence of a weak pipeline."""
    seeds: int = 200
    """Loops, with the seeds from 0."""


@dataclass(frozen=True, slots=True)
class World:
    """The items that loops of a recipe draw their outputs and their test set from."""

    labelled: Labelled
    learner: Discriminant

    def accuracy(self, taught: Codes, test: Codes) -> float:
        """Return the accuracy on the rows `test` after training on the rows `taught`."""
        classes, proba = self.learner.learn(taught, on=test)
        return float((classes[proba.argmax(axis=1)] == self.labelled.codes[test]).mean())


@dataclass(frozen=True, slots=True)
class Loop:
    """Rows of the answers of a loop, in the order in which they were asked."""

    rule: Codes
    control: Codes
    held_out: Codes
    unanswered: Codes
    """Hold-out lane without an answer."""
    stratum: Codes
    """Outputs that the trigger sends, without those of the hold-out lane."""
    test: Codes
    """Rows that the loop never sees. They are drawn anew for each loop: over the loops, they are like its outputs."""


@cache
def world(data: str, folder: Path | None) -> World | None:
    """Return the items of a planted kind or of a real set; None if the set is missing."""
    if data in PLANTED:
        labelled = _labelled(data, *PLANTED[data](np.random.default_rng(0)))
    elif folder is None or not (folder / f"{data}.csv").exists():
        return None
    else:
        labelled = _real(data, folder / f"{data}.csv")
    assert labelled.embeddings is not None
    return World(labelled, Discriminant(labelled.embeddings.astype(np.float64), labelled.codes))


def _labelled(name: str, features: Floats, codes: Codes) -> Labelled:
    """Return the set of these items, without a split."""
    rows = np.arange(len(codes))
    return Labelled(
        name=name,
        learner=EMBEDDINGS,
        field="row",
        data=[{"row": row} for row in rows.tolist()],
        classes=tuple(f"class {code}" for code in range(codes.max() + 1)),
        codes=codes,
        pool=rows,
        test=rows[:0],
        embeddings=features.astype(np.float32),
    )


def _real(name: str, path: Path) -> Labelled:
    """Return the texts of the ten most frequent classes as numbers."""
    from sklearn.decomposition import TruncatedSVD

    known = files.read(path)
    frequent = np.argsort(-np.bincount(known.codes), kind="stable")[:10]
    words = TruncatedSVD(WIDTH, random_state=0).fit_transform(study(known).features)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(np.isin(known.codes, frequent)))
    features = words[rows] / np.sqrt(words[rows].var(axis=0).mean())
    return _labelled(name, features, np.unique(known.codes[rows], return_inverse=True)[1])


def _tail(rng: np.random.Generator) -> tuple[Floats, Codes]:
    """Return four common classes and twenty rare ones, which a random order finds late."""
    shares = np.concatenate([np.full(4, 0.91 / 4), np.full(20, 0.09 / 20)])
    return _mixture(rng, shares, spread=1.5)


def _even(rng: np.random.Generator) -> tuple[Floats, Codes]:
    """Return four classes of the same size, which any order finds."""
    return _mixture(rng, np.full(4, 0.25), spread=0.9)


def _noise(rng: np.random.Generator) -> tuple[Floats, Codes]:
    """Return four classes, and a quarter of items between them with random labels: uncertainty asks for these."""
    features, codes = _mixture(rng, np.full(4, 0.25), spread=1.0)
    lost = rng.random(len(codes)) < 0.25
    features[lost] = rng.normal(size=(lost.sum(), features.shape[1])) * 0.6
    codes[lost] = rng.integers(4, size=lost.sum())
    return features, codes


def _mixture(rng: np.random.Generator, shares: Floats, spread: float) -> tuple[Floats, Codes]:
    """Return items of Gaussian classes in 12 dimensions. The centres are the same in all loops."""
    centres = np.random.default_rng(12).normal(size=(len(shares), 12)) * spread
    codes = rng.choice(len(shares), size=PLANTED_ITEMS, p=shares)
    return centres[codes] + rng.normal(size=(len(codes), 12)), codes


PLANTED = {"tail": _tail, "even": _even, "noise": _noise}


def simulate(recipe: Recipe, world: World, controls: int, prefix: int, seed: int) -> Loop:
    """Run a loop until `controls` control answers.

    After `prefix` answers of the rule lane the rest only teaches the reference model: to save time, eight windows come
    at once then, without selection.
    """
    rng = np.random.default_rng([seed, 2])
    known, ask = world.labelled, asker(Variant(recipe.strategy, recipe.diversity), world.labelled)
    items = rng.permutation(known.pool)
    tested = min(MOST_TESTED, int(TEST_SHARE * len(items)))
    test, pool = items[:tested], items[tested:]
    held = rng.random(len(pool)) < HOLDOUT
    stratum = _sent(recipe, world, pool[~held], test[:60])
    drawn = rng.random(len(stratum)) < recipe.control
    waiting_control, waiting = stratum[drawn], np.sort(stratum[~drawn])
    rule, control = np.empty(0, dtype=np.intp), 0
    while control < controls:
        late = len(rule) >= prefix
        n = WINDOW * (8 if late else 1)
        control = min(controls, control + round(recipe.control * n))
        n = min(len(waiting), round((1 - recipe.control - HOLDOUT_SHARE) * n))
        answered = np.concatenate([rule, waiting_control[:control]])
        if not len(rule):
            chosen = rng.permutation(waiting)[:n]
        else:
            classes, found = world.learner.learn(answered, on=waiting)
            proba = np.empty((len(known.data), len(classes)))
            proba[waiting] = found
            moment = Moment(world.learner, waiting, answered, known.codes[answered], classes, proba, rng)
            chosen = (asker(Variant(recipe.strategy, 0.0), known) if late else ask)(moment, n)
        rule, waiting = np.concatenate([rule, chosen]), np.setdiff1d(waiting, chosen)
    lane = pool[held]
    answers = min(len(lane), round(controls * HOLDOUT_SHARE / recipe.control))
    return Loop(rule, waiting_control[:controls], lane[:answers], lane[answers:], stratum, test)


def _sent(recipe: Recipe, world: World, rows: Codes, taught: Codes) -> Codes:
    """Return what the trigger sends of these rows: the least confident, by a weak pipeline that these rows taught."""
    if recipe.sent >= 1:
        return rows
    _, proba = world.learner.learn(taught, on=rows)
    confidence = proba.max(axis=1)
    sent: Codes = rows[confidence < np.quantile(confidence, recipe.sent)]
    return sent


def answered(world: World, rows: Codes, lane: str) -> list[AnsweredItem]:
    """Return these rows as the product reads answers from Postgres."""
    known = world.labelled
    return [
        AnsweredItem(
            key=str(row),
            group_key=str(row),
            data=known.data[row],
            answer_seq=place,
            label=known.classes[known.codes[row]],
            weight=1.0,
            output_id=UUID(int=row),
            lane=lane,
            holdout=lane == "holdout",
            agreement=1.0,
            reviewers=1,
            pipeline_label=None,
            pipeline_confidence=None,
        )
        for place, row in enumerate(rows.tolist())
    ]
