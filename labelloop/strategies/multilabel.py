"""Strategies for several labels at once: independent probabilities, shape (n_samples, n_labels), each in [0, 1].

Utilities in [0, 1], shape (n_samples,). A label is predicted if its probability is above 0.5. labels_max and
labels_mean are high where the model is uncertain. The others are modAL 0.4's definitions (modAL.multilabel) scaled to
[0, 1]. Their order is modAL's, which does not always follow uncertainty: see each.
"""

from __future__ import annotations

import numpy as np

from labelloop.strategies.arrays import Array, Block, in_blocks


@in_blocks
def labels_max(proba: Block) -> Array:
    """1 - |2p - 1| of the label that the model is least certain of: the margin of a label against its absence."""
    return np.asarray(_uncertainty(proba).max(axis=1))


@in_blocks
def labels_mean(proba: Block) -> Array:
    """Mean over all labels of 1 - |2p - 1|."""
    return np.asarray(_uncertainty(proba).mean(axis=1))


@in_blocks
def min_confidence(proba: Block) -> Array:
    """1 - the smallest p: highest if the model is certain that one label is absent. modAL picks the smallest of the
    smallest.

    Esuli and Sebastiani 2009, "Active learning strategies for multi-label text classification", section 3.
    """
    return np.asarray(1.0 - proba.min(axis=1).astype(np.float64))


@in_blocks
def avg_confidence(proba: Block) -> Array:
    """Mean p: highest if many labels are probable. Equal to modAL's. Esuli and Sebastiani 2009, section 3."""
    return np.asarray(proba.mean(axis=1, dtype=np.float64))


@in_blocks
def max_score(proba: Block) -> Array:
    """The largest p (y - 1/2), y = 1 if predicted and 0 if not: highest if the model is certain that a label is
    present.

    It is modAL's, which lies in [-1/4, 1/2], plus 1/4 and divided by 3/4. Esuli and Sebastiani 2009, section 3.
    """
    return np.asarray((_scores(proba).max(axis=1) + 0.25) / 0.75)


@in_blocks
def avg_score(proba: Block) -> Array:
    """Mean of p (y - 1/2). It is modAL's plus 1/4, divided by 3/4. Esuli and Sebastiani 2009, section 3."""
    return np.asarray((_scores(proba).mean(axis=1) + 0.25) / 0.75)


@in_blocks
def max_loss(proba: Block) -> Array:
    """Share of the labels on which the predictions differ from "only the most probable one".

    It is modAL's divided by 2 n_labels, the hinge loss of predictions of -1 and 1: only the predictions count, not the
    probabilities. Li, Wang and Sung 2004, "Multilabel SVM active learning for image classification", for an SVM.
    """
    n, labels = proba.shape
    predicted = proba > 0.5
    best = predicted[np.arange(n), proba.argmax(axis=1)]
    return np.asarray((predicted.sum(axis=1) - best + ~best) / labels)


@in_blocks
def mean_max_loss(proba: Block) -> Array:
    """Mean over the labels c of max(0, 1 - sum of y z), y = -1 or 1 as predicted, z = 1 for c and -1 elsewhere.

    It is modAL's divided by its maximum for n_labels labels. Li, Wang and Sung 2004.
    """
    labels = proba.shape[1]
    by_count = _mean_max_losses(labels)
    return np.asarray(by_count[(proba > 0.5).sum(axis=1)] / by_count.max())


def _mean_max_losses(labels: int) -> Array:
    """Return the loss by the number of predicted labels, 0 to all: only their number matters."""
    count = np.arange(labels + 1)
    inside, outside = np.maximum(2 * count - labels - 1, 0), np.maximum(2 * count - labels + 3, 0)
    return np.asarray((count * inside + (labels - count) * outside) / labels)


def _uncertainty(proba: Block) -> Array:
    return np.asarray(1.0 - np.abs(2.0 * proba.astype(np.float64, copy=False) - 1.0))


def _scores(proba: Block) -> Array:
    return np.asarray(proba.astype(np.float64, copy=False) * ((proba > 0.5) - 0.5))
