"""Strategies for several labels at once: independent probabilities, shape (n_samples, n_labels), each in [0, 1].

Utilities in [0, 1], shape (n_samples,). A label is predicted where its probability is above 0.5. labels_max and
labels_mean ask where the model is in doubt. The others are modAL 0.4's definitions (modAL.multilabel), brought into
[0, 1]; the order is modAL's, which is not always one by doubt: see each.
"""

from __future__ import annotations

import numpy as np

from labelloop.strategies.arrays import Array, Block, in_blocks


@in_blocks
def labels_max(proba: Block) -> Array:
    """1 - |2p - 1| of the label that the model is least sure of: the margin of a label against its absence."""
    return np.asarray(_doubt(proba).max(axis=1))


@in_blocks
def labels_mean(proba: Block) -> Array:
    """The mean over all labels of 1 - |2p - 1|."""
    return np.asarray(_doubt(proba).mean(axis=1))


@in_blocks
def min_confidence(proba: Block) -> Array:
    """1 - the smallest p: highest where one label is surely absent. modAL picks the smallest of the smallest.

    Esuli and Sebastiani 2009, "Active learning strategies for multi-label text classification", section 3.
    """
    return np.asarray(1.0 - proba.min(axis=1).astype(np.float64))


@in_blocks
def avg_confidence(proba: Block) -> Array:
    """The mean p: highest where many labels are likely. Equal to modAL's. Esuli and Sebastiani 2009, section 3."""
    return np.asarray(proba.mean(axis=1, dtype=np.float64))


@in_blocks
def max_score(proba: Block) -> Array:
    """The largest p (y - 1/2), y = 1 where predicted and 0 elsewhere: highest where one label is surely present.

    modAL's, which lies in [-1/4, 1/2], plus 1/4, by 3/4. Esuli and Sebastiani 2009, section 3.
    """
    return np.asarray((_scores(proba).max(axis=1) + 0.25) / 0.75)


@in_blocks
def avg_score(proba: Block) -> Array:
    """The mean of p (y - 1/2). modAL's plus 1/4, by 3/4. Esuli and Sebastiani 2009, section 3."""
    return np.asarray((_scores(proba).mean(axis=1) + 0.25) / 0.75)


@in_blocks
def max_loss(proba: Block) -> Array:
    """Share of the labels on which the predictions differ from "only the most probable one".

    modAL's by 2 n_labels: it is the hinge loss of predictions of -1 and 1, so that nothing but the predictions counts.
    Li, Wang and Sung 2004, "Multilabel SVM active learning for image classification", for an SVM.
    """
    n, labels = proba.shape
    predicted = proba > 0.5
    best = predicted[np.arange(n), proba.argmax(axis=1)]
    return np.asarray((predicted.sum(axis=1) - best + ~best) / labels)


@in_blocks
def mean_max_loss(proba: Block) -> Array:
    """The mean over the labels c of max(0, 1 - sum of y z), y = -1 or 1 as predicted, z = 1 for c and -1 elsewhere.

    modAL's by the largest that n_labels labels allow. Li, Wang and Sung 2004.
    """
    labels = proba.shape[1]
    by_count = _mean_max_losses(labels)
    return np.asarray(by_count[(proba > 0.5).sum(axis=1)] / by_count.max())


def _mean_max_losses(labels: int) -> Array:
    """By how many of the labels are predicted, 0 to all: only their number matters."""
    count = np.arange(labels + 1)
    inside, outside = np.maximum(2 * count - labels - 1, 0), np.maximum(2 * count - labels + 3, 0)
    return np.asarray((count * inside + (labels - count) * outside) / labels)


def _doubt(proba: Block) -> Array:
    return np.asarray(1.0 - np.abs(2.0 * proba.astype(np.float64, copy=False) - 1.0))


def _scores(proba: Block) -> Array:
    return np.asarray(proba.astype(np.float64, copy=False) * ((proba > 0.5) - 0.5))
