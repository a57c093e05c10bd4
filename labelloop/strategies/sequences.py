"""Strategies for spans and other sequences of tokens: the model's confidence in each token of each sample.

`confidences` is one list a sample, of any length: p(the label that the model gave the token), 0 to 1. Utilities in [0,
1], shape (n_samples,). A sequence without tokens has utility 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from labelloop.strategies.arrays import Array, Ragged

Rows = Sequence[npt.ArrayLike]


def tokens_max(confidences: Rows) -> Array:
    """1 - p of the least confident token: one uncertain name is enough to make a long text useful.

    Settles and Craven 2008, "An analysis of active learning strategies for sequence labeling tasks", section 3.1, with
    the maximum in place of their sum over the tokens.
    """
    rows = _read(confidences)
    return rows.join(np.maximum, 1.0 - rows.values)


def tokens_mean(confidences: Rows) -> Array:
    """Mean over the tokens of 1 - p. Unlike a sum, it does not prefer long sequences.

    Settles and Craven 2008, section 3.1: token entropy is such a mean, of entropies.
    """
    rows = _read(confidences)
    return np.clip(rows.mean(1.0 - rows.values), 0.0, 1.0)


def tokens_normalised(confidences: Rows) -> Array:
    """1 - the geometric mean of the tokens' p: the sequence's log probability divided by its length; 1 if any p is 0.

    Shen et al. 2018, "Deep active learning for named entity recognition", section 4 ("MNLP").
    """
    rows = _read(confidences)
    with np.errstate(divide="ignore"):
        return -np.expm1(rows.mean(np.log(rows.values)))


def _read(confidences: Rows) -> Ragged:
    return Ragged.of(confidences, "a token's confidence", 0.0, 1.0)
