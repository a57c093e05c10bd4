"""Strategies for classifiers: one row of probabilities a sample, shape (n_samples, n_classes), rows sum to 1.

Each returns utilities in [0, 1], shape (n_samples,); higher means more useful. The input is float32 or float64, of any
length, with contiguous rows or columns. If other libraries use another sign or scale, the function names the relation,
and a test compares with modAL 0.4's measures. With one class the utility is 0.
"""

from __future__ import annotations

import numpy as np

from labelloop.strategies.arrays import Array, Block, in_blocks, plogp, top, top_two


@in_blocks
def least_confidence(proba: Block) -> Array:
    """1 - p(most probable); at most 1 - 1/n_classes. Equal to modAL's classifier_uncertainty.

    Lewis and Gale 1994, "A sequential algorithm for training text classifiers", section 3.
    """
    return np.subtract(1.0, top(proba), dtype=np.float64)


@in_blocks
def margin(proba: Block) -> Array:
    """1 - (p(most probable) - p(second)). It is 1 minus modAL's classifier_margin, which is small for uncertain
    samples.

    Scheffer, Decomain and Wrobel 2001, "Active hidden Markov models for information extraction", section 4.
    """
    if proba.shape[1] == 1:
        return np.zeros(len(proba))
    first, second = top_two(proba)
    return np.asarray(1.0 - np.subtract(first, second, dtype=np.float64))


@in_blocks
def ratio(proba: Block) -> Array:
    """p(second) / p(most probable): 1 if the two are equal. With three or more classes the order differs from margin's.

    Settles 2009, "Active learning literature survey", section 3.1, lists it among the measures of the two best labels.
    """
    if proba.shape[1] == 1:
        return np.zeros(len(proba))
    first, second = top_two(proba)
    return np.divide(second, first, dtype=np.float64)


@in_blocks
def entropy(proba: Block) -> Array:
    """Shannon's entropy divided by log(n_classes), so that a uniform row has 1. It is modAL's classifier_entropy with
    this divisor.

    Settles 2009, "Active learning literature survey", section 3.1.
    """
    if proba.shape[1] == 1:
        return np.zeros(len(proba))
    # As in scipy, rows count as scaled to sum to 1: H(p / s) = log s - sum(p log p) / s.
    logs, sums = plogp(proba)
    return np.asarray((np.log(sums) - logs / sums) / np.log(proba.shape[1]))
