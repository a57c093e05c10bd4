"""One replay: a random first batch, then the batches that a strategy chooses, with training after each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from console.simulate.labelled import Labelled
from console.simulate.learning import Codes, Proba, Study


@dataclass(frozen=True, slots=True)
class Moment:
    """The state when the next batch is chosen. Rows are positions in the set."""

    study: Study
    waiting: Codes
    """Pool rows without an answer, ascending."""
    answered: Codes
    """Pool rows with an answer, in the order in which they were asked."""
    codes: Codes
    """The answers to `answered`."""
    classes: Codes
    proba: Proba
    """Shape (rows of the set, len(classes)), from the learner trained on `answered`."""
    rng: np.random.Generator


Ask = Callable[[Moment, int], Codes]
"""Chooses n of the waiting rows to ask next, most useful first."""


def replay(
    labelled: Labelled, study: Study, ask: Ask, seed: int, batch: int, budget: int, enough: float = np.inf
) -> list[float]:
    """Return the metric after each batch, up to the first that reaches `enough`.

    The first batch depends on the seed only, not on the strategy. While all answers have the same label, no model can
    be trained, and the next batch is random too.
    """
    rng = np.random.default_rng([seed, 2])
    drawn = random_order(labelled, seed)
    answered = np.empty(0, dtype=np.intp)
    moment: Moment | None = None
    metrics: list[float] = []
    while len(answered) < budget and (not metrics or metrics[-1] < enough):
        n = min(batch, budget - len(answered))
        if moment is None:
            chosen = drawn[len(answered) : len(answered) + n]
        else:
            chosen = ask(moment, n)
            if len(np.unique(chosen)) != n or not np.isin(chosen, moment.waiting).all():
                raise ValueError(f"asked for {n} waiting rows, the strategy chose {chosen}")
        answered = np.concatenate([answered, chosen])
        codes = labelled.codes[answered]
        if codes.min() == codes.max():
            metrics.append(labelled.metric(np.full(len(labelled.test), codes[0])))
            continue
        classes, proba = study.learn(answered, seed)
        metrics.append(metric_on_test_set(labelled, classes, proba))
        waiting = np.setdiff1d(labelled.pool, answered)
        moment = Moment(study, waiting, answered, codes, classes, proba, rng)
    return metrics


def cold_start(labelled: Labelled, seed: int, batch: int, budget: int) -> int:
    """Return the number of labels that are asked at random, before there is a model that a strategy could use.

    It is the first batch, or more batches while all answers have the same label.
    """
    codes = labelled.codes[random_order(labelled, seed)[:budget]]
    other = np.flatnonzero(codes != codes[0])
    return budget if not len(other) else min(budget, (int(other[0]) // batch + 1) * batch)


def random_order(labelled: Labelled, seed: int) -> Codes:
    """Return the pool's rows in the random order of this seed."""
    drawn: Codes = np.random.default_rng([seed, 3]).permutation(labelled.pool)
    return drawn


def metric_on_test_set(labelled: Labelled, classes: Codes, proba: Proba) -> float:
    """Return the metric on the test set of a learner with these probabilities."""
    return labelled.metric(classes[proba[labelled.test].argmax(axis=1)])


def metric_with_all_labels(labelled: Labelled, study: Study) -> float:
    """Return the metric of the learner trained on all labels of the pool."""
    return metric_on_test_set(labelled, *study.learn(labelled.pool, 0))
