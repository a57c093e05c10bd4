"""Reasons for annotators why an item is a task, computed from a query strategy's input. Pure.

A new strategy that reads probabilities needs its words in REASONS_BY_STRATEGY; without them the reason is empty. The
words for evidence are in strategies/registry.py, those for the random lanes in queue/tasks.py, and those about similar
items in selection/select.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop import strategies

Reasons = Callable[[npt.NDArray[np.float64]], list[str]]


def why(strategy: str, row: npt.ArrayLike) -> str:
    """Return one line for one row of probabilities; "" if the strategy reads no probabilities."""
    return whys(strategy, np.asarray(row)[None, :])[0]


def whys(strategy: str, proba: npt.ArrayLike) -> list[str]:
    """Return one line for each row, shape (n_samples, n_classes). No line names a label: people read the item first."""
    rows = np.asarray(proba, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"probabilities of the shape {rows.shape}; it must be (n_samples, n_classes)")
    if strategy == strategies.RANDOM:
        return [DRAWN_AT_RANDOM] * len(rows)
    if strategy not in REASONS_BY_STRATEGY:
        return [""] * len(rows)
    if not len(rows):
        return []
    if rows.shape[1] == 1:
        return ["The model knows only one answer"] * len(rows)
    return REASONS_BY_STRATEGY[strategy](rows)


def of_evidence(strategy: str, evidence: Mapping[str, Any]) -> str:
    """Return one line for evidence that the strategy reads: what it prefers, and the confidence of the least certain
    part.
    """
    line = strategies.get(strategy).line.removesuffix(" (modAL)")
    line = line[0].upper() + line[1:]
    if shares := evidence.get("labels"):
        least = min(shares.values(), key=lambda share: (abs(share - 0.5), share))
        return f"{line}; the least certain one is at {_percent(least)}"
    if tokens := evidence.get("tokens"):
        least = min(strategies.confidence(token) for token in tokens)
        return f"{line}; the least certain of {len(tokens)} is at {_percent(least)}"
    return line


def of_controls(utilities: Mapping[str, float], weights: Mapping[str, float]) -> str:
    """Return one line for an answer in several controls: the one that the model is least sure of, if it counts."""
    name = max(utilities, key=lambda one: (utilities[one] * weights.get(one, 1.0), one))
    return f"The model is least sure of {name!r}"


def of_confidence(confidence: float | None) -> str:
    """Return one line for a model that gives only a confidence, or none."""
    if confidence is None:
        return "The model gave no confidence"
    return f"The model is {_percent(confidence)} confident in its answer"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _least_confidence(proba: npt.NDArray[np.float64]) -> list[str]:
    return [of_confidence(float(share)) for share in proba.max(axis=1)]


def _margin(proba: npt.NDArray[np.float64]) -> list[str]:
    gaps = 1.0 - strategies.utilities("margin", proba)
    return [f"The model's two most likely answers are {100 * gap:.0f} points apart" for gap in gaps.tolist()]


def _ratio(proba: npt.NDArray[np.float64]) -> list[str]:
    shares = strategies.utilities("ratio", proba).tolist()
    return [f"The model's second answer is {_percent(share)} as likely as its first" for share in shares]


def _entropy(proba: npt.NDArray[np.float64]) -> list[str]:
    spread = strategies.utilities("entropy", proba).tolist()
    return [
        f"The model is undecided among {proba.shape[1]} answers: {_percent(h)} of the most it can be" for h in spread
    ]


DRAWN_AT_RANDOM = "Drawn at random"
REASONS_BY_STRATEGY: Mapping[str, Reasons] = {
    "least_confidence": _least_confidence,
    "margin": _margin,
    "ratio": _ratio,
    "entropy": _entropy,
}
