"""Weights of a run's answers."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.versions.items import TrainingItem


def weights_of(rows: Sequence[TrainingItem]) -> list[float] | None:
    """Return the weights for `fit`; None if all answers count alike."""
    weights = [row.weight for row in rows]
    return None if len(set(weights)) < 2 else weights
