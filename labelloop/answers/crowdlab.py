"""CROWDLAB: the answers of people and the opinion of a learner as one, each weighed by its agreement. Pure numpy.

Goh, Tkachenko and Mueller 2022, "CROWDLAB: Supervised learning to infer consensus labels and quality scores for data
with multiple annotators" (arXiv:2210.06812), section 3. The learner must not have been trained on the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labelloop.answers.dawid_skene import Floats, Ints

LEAST = 1e-6
"""Smallest weight, and smallest error that a weight is divided by."""
LEAST_ITEMS = 20
"""Items with two answers and a learner's opinion that the weights need; with fewer the people's quality alone decides.
"""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of people and learner, in the order of the arrays that they were estimated from."""

    people: Floats
    """Shape (n_people,), each above 0: 1 for somebody who always agrees with the others."""
    learner: float
    """Weight of the learner beside them."""
    agreement: float
    """Share of the answers that are the majority's."""

    def posterior(self, answers: Sequence[tuple[float, int]], learner: Floats) -> Floats:
        """Return the probability of each label of one item, shape (n_labels,), sums to 1.

        `answers`: weight of the person and position of the label; `learner`: its probabilities, shape (n_labels,).
        """
        k = len(learner)
        total, sums = self.learner, self.learner * learner
        for weight, label in answers:
            said = np.full(k, (1 - self.agreement) / (k - 1))
            said[label] = self.agreement
            total, sums = total + weight, sums + weight * said
        return np.asarray(sums / total)


def weights(item: Ints, person: Ints, label: Ints, learner: Floats, people: int) -> Weights | None:
    """Return the weights by these answers, as dawid_skene.estimate takes them; None if too few items have two.

    `learner`: its probabilities, shape (n_items, n_labels).
    """
    items, k = learner.shape
    votes = np.bincount(item * k + label, minlength=items * k).reshape(items, k).astype(np.float64)
    given = votes.sum(axis=1)
    several = given > 1
    if several.sum() < LEAST_ITEMS:
        return None
    # Equally many votes: the label that the learner finds more probable.
    majority = (votes + 0.5 * learner / learner.max()).argmax(axis=1)
    share = votes[np.arange(items), majority] / np.maximum(given, 1)
    common = np.bincount(majority[several], minlength=k).max()
    error = max(1 - common / several.sum(), LEAST)
    others = given[item] - 1
    same = np.bincount(person, weights=votes[item, label] - 1, minlength=people)
    pairs = np.bincount(person, weights=others, minlength=people)
    known = pairs > 0
    agreement = np.divide(same, pairs, out=np.zeros(people), where=known)
    agreement[~known] = agreement[known].mean()
    wrong = float((learner.argmax(axis=1) != majority)[several].mean())
    return Weights(
        np.maximum(1 - (1 - agreement) / error, LEAST),
        max(1 - wrong / error, LEAST) * float(np.sqrt(given.mean())),
        float(share[several].mean()),
    )
