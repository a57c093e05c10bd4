"""Uncertainty Herding, which no library of ours has: written from the description in its paper.

Bae, Oliveira and Sutherland, "Uncertainty Herding: one active learning method for all label budgets", ICLR 2025
(arXiv 2412.20644). It greedily takes the items that cover most of the pool's uncertainty. The radius of its kernel is
the smallest distance between two answered items. Probabilities are calibrated by a temperature first.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.support.activeml import MOST, Dense
from console.simulate.learning import Codes, Proba
from console.simulate.replay import Ask, Moment

TEMPERATURES = np.geomspace(0.1, 10, 21)


def uncertainty_herding(dense: Dense) -> Ask:
    """Return the strategy. `dense`: the features of all rows of the set; their length makes no difference."""
    unit = (dense / np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)).astype(np.float32)

    def ask(moment: Moment, n: int) -> Codes:
        waiting = moment.waiting
        if len(waiting) > MOST:
            waiting = np.sort(moment.rng.choice(waiting, MOST, replace=False))
        proba = _tempered(moment.proba[waiting], _temperature(moment))
        two = np.partition(proba, -2, axis=1)[:, -2:]
        unsure = (1 - (two[:, 1] - two[:, 0])).astype(np.float32)
        pool, answered = unit[waiting], unit[moment.answered]
        apart = _squares(answered, answered)[np.triu_indices(len(answered), 1)]
        radius = float(apart[apart > 1e-6].min(initial=2.0))
        kernel = np.exp(-_squares(pool, pool) / radius)
        covered = np.exp(-_squares(pool, answered) / radius).max(axis=1)
        chosen: list[int] = []
        for _ in range(n):
            gain = unsure @ np.maximum(kernel - covered[:, None], 0)
            gain[chosen] = -1
            chosen.append(int(gain.argmax()))
            covered = np.maximum(covered, kernel[:, chosen[-1]])
        return waiting[chosen]

    return ask


def _temperature(moment: Moment) -> float:
    """Return the temperature with the best likelihood of half of the answers, by a model of the other half."""
    half = np.arange(len(moment.answered)) % 2 == 0
    taught, kept = moment.answered[half], ~half
    if len(np.unique(moment.codes[half])) < 2:
        return 1.0
    classes, proba = moment.study.learn(taught, 0)
    known = kept & np.isin(moment.codes, classes)
    if not known.any():
        return 1.0
    rows, place = moment.answered[known], np.searchsorted(classes, moment.codes[known])
    each = [np.log(_tempered(proba[rows], t)[np.arange(len(rows)), place] + 1e-12).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmax(each))])


def _tempered(proba: Proba, temperature: float) -> Proba:
    logs = np.log(np.maximum(proba, 1e-12)) / temperature
    found = np.exp(logs - logs.max(axis=1, keepdims=True))
    tempered: Proba = found / found.sum(axis=1, keepdims=True)
    return tempered


def _squares(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = np.maximum((one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T, 0)
    return found
