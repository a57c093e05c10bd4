"""Why an answer would teach: what a query strategy saw in a row of probabilities, in words for annotators; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labelloop import strategies

Words = Callable[[npt.NDArray[np.float64], Sequence[str]], list[str]]
MANY = 40
"""Characters of a label that are shown."""


def why(strategy: str, labels: Sequence[str], row: npt.ArrayLike) -> str:
    """One line for one row; `labels` name its columns. "" where the strategy reads no probabilities."""
    return whys(strategy, labels, np.asarray(row)[None, :])[0]


def whys(strategy: str, labels: Sequence[str], proba: npt.ArrayLike) -> list[str]:
    """One line for each row, shape (n_samples, n_classes)."""
    rows = np.asarray(proba, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != len(labels):
        raise ValueError(f"{len(labels)} labels for probabilities of the shape {rows.shape}")
    if strategy == strategies.RANDOM:
        return [RANDOM] * len(rows)
    if strategy not in WORDS:
        return [""] * len(rows)
    if not len(rows):
        return []
    return WORDS[strategy](rows, [_short(label) for label in labels])


def of_evidence(strategy: str, evidence: Mapping[str, Any]) -> str:
    """One line for evidence that the strategy reads: what it asks for, and which label or token is least sure."""
    line = strategies.get(strategy).line
    if shares := evidence.get("labels"):
        label, share = min(shares.items(), key=lambda item: (abs(item[1] - 0.5), item[0]))
        return f"{line}; least sure is {_short(label)}, at {share:.2f}"
    if tokens := evidence.get("tokens"):
        least = min(strategies.confidence(token) for token in tokens)
        return f"{line}; the least sure of {len(tokens)} at {least:.2f}"
    return line


def of_confidence(confidence: float | None) -> str:
    """One line for a model that says no more than how sure it is, or not even that."""
    if confidence is None:
        return "the model does not say how sure it is"
    return f"the model's confidence is {confidence:.2f}"


def _short(label: str) -> str:
    """In one line: where people write the label themselves it may have several."""
    label = " ".join(label.split())
    return label if len(label) <= MANY else f"{label[:MANY]}…"


def _least_confidence(proba: npt.NDArray[np.float64], labels: Sequence[str]) -> list[str]:
    first = proba.argmax(axis=1)
    return [f"{labels[i]} is likeliest, at {p:.2f}" for i, p in zip(first.tolist(), _at(proba, first), strict=True)]


def _margin(proba: npt.NDArray[np.float64], labels: Sequence[str]) -> list[str]:
    if len(labels) == 1:
        return [_only(labels)] * len(proba)
    return [f"margin {p - q:.2f} between {labels[i]} and {labels[j]}" for i, j, p, q in _two(proba)]


def _ratio(proba: npt.NDArray[np.float64], labels: Sequence[str]) -> list[str]:
    if len(labels) == 1:
        return [_only(labels)] * len(proba)
    return [f"{labels[j]} is {q / p:.2f} times as likely as {labels[i]}" for i, j, p, q in _two(proba)]


def _entropy(proba: npt.NDArray[np.float64], labels: Sequence[str]) -> list[str]:
    if len(labels) == 1:
        return [_only(labels)] * len(proba)
    first = proba.argmax(axis=1)
    spread = strategies.utilities("entropy", proba).tolist()
    return [
        f"entropy {h:.2f} of 1 over {len(labels)} labels, {labels[i]} is likeliest"
        for i, h in zip(first.tolist(), spread, strict=True)
    ]


def _two(proba: npt.NDArray[np.float64]) -> Iterator[tuple[int, int, float, float]]:
    """Of each row the columns of the most probable label and of the next, of equals the first, and both shares."""
    first = proba.argmax(axis=1)
    rest = proba.copy()
    rest[np.arange(len(proba)), first] = -1.0
    second = rest.argmax(axis=1)
    return zip(first.tolist(), second.tolist(), _at(proba, first), _at(proba, second), strict=True)


def _at(proba: npt.NDArray[np.float64], columns: npt.NDArray[np.intp]) -> list[float]:
    found: list[float] = proba[np.arange(len(proba)), columns].tolist()
    return found


def _only(labels: Sequence[str]) -> str:
    return f"{labels[0]} is the only label that the model knows"


RANDOM = "drawn at random"
WORDS: Mapping[str, Words] = {
    "least_confidence": _least_confidence,
    "margin": _margin,
    "ratio": _ratio,
    "entropy": _entropy,
}
