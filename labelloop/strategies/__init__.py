"""Query strategies: how useful an answer would be, from a model's predictions. Pure functions, one module a kind of
input.

The kinds are proba.py (classifiers), committee.py, multilabel.py, sequences.py, boxes.py and generation.py; registry.py
finds them by name. Every utility lies in [0, 1], and higher means more useful. best.py finds the highest ones,
single.py computes those of one row.
"""

from __future__ import annotations

from labelloop.strategies.arrays import Array
from labelloop.strategies.best import top_k
from labelloop.strategies.expected_error import expected_error
from labelloop.strategies.proba import entropy, least_confidence, margin, ratio
from labelloop.strategies.registry import (
    RANDOM,
    REGISTRY,
    STRATEGIES,
    Kind,
    Strategy,
    confidence,
    from_evidence,
    get,
    names,
    reads_probabilities,
    utilities,
)

__all__ = [
    "RANDOM",
    "REGISTRY",
    "STRATEGIES",
    "Array",
    "Kind",
    "Strategy",
    "confidence",
    "entropy",
    "expected_error",
    "from_evidence",
    "get",
    "least_confidence",
    "margin",
    "names",
    "ratio",
    "reads_probabilities",
    "top_k",
    "utilities",
]
