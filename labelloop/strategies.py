"""Query strategies: how much an answer would teach, from the probabilities of a classifier; pure numpy.

Every strategy gives utilities in [0, 1], higher = more useful. `proba` has the shape (n_samples, n_classes), rows sum
to 1. Where others measure the same with another sign or scale, the relation stands with the function; a test holds us
to modAL 0.4's measures. With one class there is nothing to ask: 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from labelloop.errors import UsageError

Array = npt.NDArray[np.float64]


def utilities(strategy: str, proba: Array, rng: np.random.Generator | None = None) -> Array:
    """Utilities in [0, 1], shape (n_samples,), in the order of the rows. Only `random` uses `rng` (seed 0 if None)."""
    proba = np.asarray(proba, dtype=np.float64)
    if proba.ndim != 2 or proba.shape[1] == 0:
        raise ValueError(f"proba must have the shape (n_samples, n_classes); it has {proba.shape}")
    if strategy == RANDOM:
        return (rng or np.random.default_rng(0)).random(len(proba))
    if strategy not in STRATEGIES:
        raise UsageError(f"no query strategy {strategy!r}; there are: {', '.join(names())}")
    # A sum that is off by a rounding must not leave the interval that the database checks.
    return np.clip(STRATEGIES[strategy](proba), 0.0, 1.0)


def names() -> list[str]:
    """The strategies there are."""
    return [*STRATEGIES, RANDOM]


def least_confidence(proba: Array) -> Array:
    """1 - p(most probable); at most 1 - 1/n_classes. Equal to modAL's classifier_uncertainty.

    Lewis and Gale 1994, "A sequential algorithm for training text classifiers", section 3.
    """
    return np.asarray(1.0 - proba.max(axis=1), dtype=np.float64)


def margin(proba: Array) -> Array:
    """1 - (p(most probable) - p(second)). 1 minus modAL's classifier_margin, which is small where unsure.

    Scheffer, Decomain and Wrobel 2001, "Active hidden Markov models for information extraction", section 4.
    """
    if proba.shape[1] == 1:
        return np.zeros(len(proba))
    part = np.partition(proba, -2, axis=1)
    return np.asarray(1.0 - (part[:, -1] - part[:, -2]), dtype=np.float64)


def entropy(proba: Array) -> Array:
    """Shannon's entropy by log(n_classes), so that 1 is the uniform row. modAL's classifier_entropy by log(n_classes).

    Settles 2009, "Active learning literature survey", section 3.1.
    """
    if proba.shape[1] == 1:
        return np.zeros(len(proba))
    # As scipy does, rows are scaled to sum to 1 first; 0 log 0 is 0.
    proba = proba / proba.sum(axis=1, keepdims=True)
    logs = np.log(proba, where=proba > 0, out=np.zeros_like(proba))
    return np.asarray(-(proba * logs).sum(axis=1) / np.log(proba.shape[1]), dtype=np.float64)


STRATEGIES: dict[str, Callable[[Array], Array]] = {
    "least_confidence": least_confidence,
    "margin": margin,
    "entropy": entropy,
}
RANDOM = "random"
"""The control: what the others must beat."""
