"""Lanes: whether an output is shown to people, and why; decided once, at intake, by hashes and the trigger.

holdout   by a hash of the group key, whatever the trigger says: judges models, never teaches one
rule      the trigger sends it, or the model gave no confidence
audit     by a hash of the key: a random share of what the trigger lets pass
pass      nobody is shown it
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from labelloop import results, strategies
from labelloop.outputs import Output, unit_hash
from labelloop.spec import LoopSpec
from labelloop.trigger import Facts, Trigger

Lane = Literal["rule", "audit", "holdout", "pass"]


@dataclass(frozen=True, slots=True)
class Placement:
    lane: Lane
    inclusion_probability: float
    """The chance that an item like this one had of being shown to people."""
    holdout: bool
    utility: float | None
    """0 to 1; None where nobody is shown it. Random in the audit and hold-out lanes, so that both stay unbiased."""
    label: str | None
    confidence: float | None


def place(output: Output, spec: LoopSpec, sends: Trigger | None = None) -> Placement:
    """The lane of an output. `sends` is the trigger as a function, where the caller has it already."""
    label, confidence = headline(output, spec)
    holdout = unit_hash("holdout", spec.name, output.group_key) < spec.holdout
    if holdout:
        lane: Lane = "holdout"
    elif (sends or spec.sends)(_facts(output, spec, label, confidence)):
        lane = "rule"
    elif unit_hash("audit", spec.name, output.key) < spec.audit:
        lane = "audit"
    else:
        lane = "pass"
    utility = None
    if lane == "rule":
        utility = _utility(output, spec, confidence)
    elif lane != "pass":
        utility = unit_hash("order", spec.name, output.key)
    chance = spec.audit if lane in ("audit", "pass") else 1.0
    return Placement(lane, chance, holdout, utility, label, confidence)


def headline(output: Output, spec: LoopSpec) -> tuple[str | None, float | None]:
    """The model's label and its confidence. Equally probable labels: the first by name, whatever order they came in."""
    if output.probabilities is not None:
        label, share = min(output.probabilities.items(), key=lambda item: (-item[1], item[0]))
        return label, share
    if output.result is not None:
        return results.read(spec.config, output.result, None).label, output.score
    return output.label, output.confidence


def _facts(output: Output, spec: LoopSpec, label: str | None, confidence: float | None) -> Facts:
    margin = entropy = None
    if output.probabilities is not None:
        top, second = [*sorted(output.probabilities.values(), reverse=True), 0.0][:2]
        margin = top - second
        entropy = float(strategies.entropy(_row(output.probabilities, spec))[0])
    return Facts(confidence, margin, entropy, label, output.model_version)


def _utility(output: Output, spec: LoopSpec, confidence: float | None) -> float:
    """By the loop's strategy; 1 - confidence without probabilities; 1 where the model said neither."""
    if spec.queue.strategy == strategies.RANDOM:
        return unit_hash("order", spec.name, output.key)
    if output.probabilities is not None:
        return float(strategies.utilities(spec.queue.strategy, _row(output.probabilities, spec))[0])
    return 1.0 if confidence is None else 1.0 - confidence


def _row(probabilities: Mapping[str, float], spec: LoopSpec) -> strategies.Array:
    """One row that sums to 1; a label of the loop that was not named has 0."""
    names = spec.labels or tuple(sorted(probabilities))
    proba = np.array([[probabilities.get(name, 0.0) for name in names]])
    return np.asarray(proba / proba.sum(), dtype=np.float64)
