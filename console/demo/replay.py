"""What a random order would have brought: a replay with the same learner, as many answers and the same skill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from backend.learners import Learner
from backend.learners.of_spec import learner_of
from console.demo.items import Items
from labelloop.errors import Failed
from labelloop.spec.loop import LoopSpec

ORDERS = 19
"""To be above all of them by chance alone happens once in 20."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Test accuracy over ORDERS random orders: mean, lowest, highest."""

    mean: float
    low: float
    high: float


def random_order(
    items: Items, teachable: Sequence[int], n: int, spec: LoopSpec, skill: float, seed: int
) -> Reached | None:
    """Teach `n` answers about items drawn at random from `teachable`; None where so few cannot be learned from."""
    scores = []
    for order in range(ORDERS):
        rng = np.random.default_rng([seed, order])
        drawn = rng.permutation(np.asarray(teachable))[:n].tolist()
        answers = [_answer(items, i, skill, rng) for i in drawn]
        try:
            learner = new_learner(spec).fit([items.data[i] for i in drawn], answers, rng)
        except Failed:  # one label only
            return None
        scores.append(accuracy(learner, items))
    return Reached(float(np.mean(scores)), min(scores), max(scores))


def _answer(items: Items, item: int, skill: float, rng: np.random.Generator) -> str:
    truth = items.truth[item]
    return truth if rng.random() < skill else str(rng.choice([label for label in items.labels if label != truth]))


def new_learner(spec: LoopSpec) -> Learner:
    return learner_of(spec)


def accuracy(learner: Learner, items: Items) -> float:
    """Share of the test part that the learner has right."""
    return share_right(learner.predict([items.data[i] for i in items.test]).labels, items)


def share_right(said: Sequence[str | None], items: Items) -> float:
    return float(np.mean([y == items.truth[i] for y, i in zip(said, items.test, strict=True)]))
