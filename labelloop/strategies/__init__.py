"""Query strategies: how much an answer would teach, from what a model says of itself; pure functions, by kind of input.

proba.py (classifiers), committee.py, multilabel.py, sequences.py, boxes.py, generation.py; registry.py knows them by
name. Every utility lies in [0, 1], higher = more useful. best.py finds the highest, single.py works on one row.
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
