"""Strategies for committees: several models' probabilities of one sample, shape (n_samples, n_members, n_classes).

Utilities in [0, 1], shape (n_samples,); higher means that the members agree less. modAL 0.4's measures
(modAL.disagreement) are in nats, and each function names the divisor that scales ours. With one member or one class the
utility is 0.
"""

from __future__ import annotations

import numpy as np

from labelloop.strategies.arrays import Array, Block, in_blocks, plogp


@in_blocks
def vote_entropy(proba: Block) -> Array:
    """Entropy of the votes, one a member for its most probable class (the first of equals).

    It is modAL's vote_entropy divided by its maximum, log(min(n_members, n_classes)). Engelson and Dagan 1996,
    "Minimizing manual annotation cost in supervised training from corpora", section 4.
    """
    n, members, classes = proba.shape
    if min(members, classes) == 1:
        return np.zeros(n)
    cells = proba.argmax(axis=2) + classes * np.arange(n)[:, None]
    votes = np.bincount(cells.reshape(-1), minlength=n * classes).reshape(n, classes) / members
    return np.asarray(-plogp(votes)[0] / np.log(min(members, classes)))


@in_blocks
def consensus_entropy(proba: Block) -> Array:
    """Entropy of the members' mean: it rises both if each member is uncertain and if they disagree.

    It is modAL's consensus_entropy divided by log(n_classes). Settles 2009, "Active learning literature survey",
    section 3.2.
    """
    n, _, classes = proba.shape
    if classes == 1:
        return np.zeros(n)
    logs, sums = plogp(proba.mean(axis=1, dtype=np.float64))
    return np.asarray((np.log(sums) - logs / sums) / np.log(classes))


@in_blocks
def max_disagreement(proba: Block) -> Array:
    """The largest Kullback-Leibler divergence of a member from the members' mean.

    It is modAL's KL_max_disagreement divided by log(n_members): a mean of m rows is nowhere less than 1/m of one of
    them. McCallum and Nigam 1998, "Employing EM and pool-based active learning for text classification", section 3,
    take the mean of the divergences; modAL takes the largest.
    """
    n, members, classes = proba.shape
    if min(members, classes) == 1:
        return np.zeros(n)
    rows = proba / proba.sum(axis=2, keepdims=True, dtype=np.float64)
    mean = rows.mean(axis=1, keepdims=True)
    tiny = np.finfo(np.float64).tiny
    divergence = (rows * (np.log(np.maximum(rows, tiny)) - np.log(np.maximum(mean, tiny)))).sum(axis=2)
    return np.asarray(divergence.max(axis=1) / np.log(members))
