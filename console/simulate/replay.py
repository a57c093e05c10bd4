"""One replay: a first batch at random, then batch after batch as a strategy asks, each followed by learning anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from console.simulate.labelled import Labelled
from console.simulate.learning import Codes, Proba, Study


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known when the next batch is chosen. Rows are positions in the set."""

    study: Study
    waiting: Codes
    """Pool rows without an answer, ascending."""
    answered: Codes
    """Pool rows with one, in the order in which they were asked."""
    codes: Codes
    """The answers to `answered`."""
    classes: Codes
    proba: Proba
    """Shape (rows of the set, len(classes)), from the learner that was taught `answered`."""
    rng: np.random.Generator


Ask = Callable[[Moment, int], Codes]
"""Which n of the waiting rows to ask next, most useful first."""


def replay(
    labelled: Labelled, study: Study, ask: Ask, seed: int, batch: int, budget: int, enough: float = np.inf
) -> list[float]:
    """The score after each batch, up to the first that is `enough`. A seed draws one first batch for all strategies.

    While all answers are the same label there is no model, and so the next batch is drawn at random too.
    """
    rng = np.random.default_rng([seed, 2])
    drawn = random_order(labelled, seed)
    answered = np.empty(0, dtype=np.intp)
    moment: Moment | None = None
    scores: list[float] = []
    while len(answered) < budget and (not scores or scores[-1] < enough):
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
            scores.append(labelled.score(np.full(len(labelled.test), codes[0])))
            continue
        classes, proba = study.learn(answered, seed)
        scores.append(judged(labelled, classes, proba))
        waiting = np.setdiff1d(labelled.pool, answered)
        moment = Moment(study, waiting, answered, codes, classes, proba, rng)
    return scores


def random_order(labelled: Labelled, seed: int) -> Codes:
    """The pool's rows as the seed draws them."""
    drawn: Codes = np.random.default_rng([seed, 3]).permutation(labelled.pool)
    return drawn


def judged(labelled: Labelled, classes: Codes, proba: Proba) -> float:
    """The score on the test part of a learner that says this of all rows."""
    return labelled.score(classes[proba[labelled.test].argmax(axis=1)])


def full_score(labelled: Labelled, study: Study) -> float:
    """What all labels of the pool come to: what the curves climb to."""
    return judged(labelled, *study.learn(labelled.pool, 0))
