"""Utilities of an output whose answer is in several controls, each with evidence of its own. Pure.

The most doubtful control decides. With weights, `queue.control_weight`, the utility is the weighted mean over the
controls instead; a control without a weight counts as 1, one of weight 0 not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labelloop.strategies import registry, single

FALLBACK = "margin"


def by_control(strategy: str, evidence: Mapping[str, Any]) -> dict[str, float]:
    """Return the utility of each control, 0 to 1.

    `evidence` is a confidence, or evidence in one of its forms, by control name. The loop's strategy is used where it
    reads the form; elsewhere the first one that does.
    """
    return {name: _utility(strategy, one) for name, one in evidence.items()}


def joined(utilities: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Return the utility of the output: the largest one, or the weighted mean if there are weights."""
    if not weights:
        return max(utilities.values())
    counted = {name: weights.get(name, 1.0) for name in utilities}
    total = sum(counted.values())
    return sum(utilities[name] * weight for name, weight in counted.items()) / total if total else 0.0


def _utility(strategy: str, evidence: float | Mapping[str, Any]) -> float:
    if not isinstance(evidence, Mapping):
        return 1.0 - evidence
    shares = evidence.get("probabilities")
    if shares is not None:
        reads = registry.get(strategy).kind is registry.Kind.PROBA
        return min(1.0, max(0.0, single.of_row(strategy if reads else FALLBACK, shares.values(), len(shares))))
    [form] = evidence
    known = registry.get(strategy)
    first = next(one.name for one in registry.REGISTRY.values() if one.reads == f"evidence.{form}")
    found = registry.from_evidence(strategy if known.reads == f"evidence.{form}" else first, evidence)
    assert found is not None  # the strategy reads this form
    return found
