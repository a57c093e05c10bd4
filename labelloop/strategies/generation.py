"""Strategies for generated text: the log probabilities of its tokens, or several texts generated for the same input.

Utilities in [0, 1], shape (n_samples,). A text without tokens, and a single generated text, have utility 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from labelloop.strategies.arrays import Array, Ragged

Rows = Sequence[npt.ArrayLike]


def log_probability_mean(log_probabilities: Rows) -> Array:
    """1 - exp(mean log p), natural logarithms: 1 - 1/perplexity, independent of the length.

    Fomicheva et al. 2020, "Unsupervised quality estimation for neural machine translation", section 3.1 (TP).
    """
    rows = _read(log_probabilities)
    return -np.expm1(rows.mean(rows.values))


def log_probability_min(log_probabilities: Rows) -> Array:
    """1 - p of the least probable token: it finds one invented name in a fluent text."""
    rows = _read(log_probabilities)
    return rows.join(np.maximum, -np.expm1(rows.values))


def samples_disagree(samples: Sequence[Sequence[str]]) -> Array:
    """1 - the mean similarity of two of a sample's texts: twice the number of shared words, divided by the words of
    both.

    Words are separated by blanks; case and order do not count. Two empty texts are alike. It is D-Lex-Sim of Fomicheva
    et al. 2020, section 3.2, with this similarity in place of a translation metric. n texts need n (n - 1) / 2
    comparisons.
    """
    return np.array([_disagreement(texts) for texts in samples], dtype=np.float64)


def _disagreement(texts: Sequence[str]) -> float:
    bags = [Counter(text.casefold().split()) for text in texts]
    pairs = list(combinations(bags, 2))
    return sum(1.0 - _similarity(a, b) for a, b in pairs) / len(pairs) if pairs else 0.0


def _similarity(a: Counter[str], b: Counter[str]) -> float:
    words = a.total() + b.total()
    return 2.0 * (a & b).total() / words if words else 1.0


def _read(log_probabilities: Rows) -> Ragged:
    return Ragged.of(log_probabilities, "a token's log-probability", -np.inf, 0.0)
