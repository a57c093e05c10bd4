"""Lanes: whether an output is shown to people, and why; decided once, at intake, by hashes and the trigger.

gold      it came with a known answer, and checks people: it teaches no model and judges none, whatever its group
holdout   by a hash of the group key, whatever the trigger says: judges models, never teaches one
rule      the trigger sends it, or the model gave no confidence
control   by a hash of the key: a random share of what the rule sends. It comes to people too, but is never ranked, so
          that its answers say what a random order would have taught
audit     by a hash of the key: a random share of what the trigger lets pass
pass      nobody is shown it
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from labelloop import strategies
from labelloop.labeling import results, structured
from labelloop.outputs.output import Output, unit_hash
from labelloop.queue import why
from labelloop.spec.loop import LoopSpec
from labelloop.spec.trigger import Facts, Trigger
from labelloop.strategies import single


class Lane(StrEnum):
    """Why an output is shown to people, or not; the text at the top of this file says more."""

    RULE = "rule"
    CONTROL = "control"
    AUDIT = "audit"
    HOLDOUT = "holdout"
    GOLD = "gold"
    PASS = "pass"


FALLBACK = "margin"
"""The strategy of an output that lacks the evidence which the loop's own strategy reads."""
UNKNOWN = 1e-3
"""The utilities of outputs of which nothing is known lie this far apart at most."""


@dataclass(frozen=True, slots=True)
class Placement:
    lane: Lane
    inclusion_probability: float
    """The chance that an item like this one had of being shown to people: 1 where the trigger sends it, in the rule
    lane and in the control lane alike.
    """
    holdout: bool
    utility: float | None
    """0 to 1; None where nobody is shown it. In every lane but rule a random number, so that they stay unbiased."""
    label: str | None
    confidence: float | None


def place(output: Output, spec: LoopSpec, sends: Trigger | None = None) -> Placement:
    """The lane of an output. `sends` is the trigger as a function, where the caller has it already."""
    label, confidence = headline(output, spec)
    gold = output.gold is not None
    holdout = not gold and unit_hash("holdout", spec.name, output.group_key) < spec.holdout
    if gold:
        lane = Lane.GOLD
    elif holdout:
        lane = Lane.HOLDOUT
    elif (sends or spec.sends)(_facts(output, spec, label, confidence)):
        lane = Lane.CONTROL if unit_hash("control", spec.name, output.key) < spec.queue.control else Lane.RULE
    elif unit_hash("audit", spec.name, output.key) < spec.audit:
        lane = Lane.AUDIT
    else:
        lane = Lane.PASS
    utility = None
    if lane == Lane.RULE:
        utility = _utility(output, spec, confidence)
    elif lane != Lane.PASS:
        utility = unit_hash("order", spec.name, output.key)
    chance = spec.audit if lane in (Lane.AUDIT, Lane.PASS) else 1.0
    return Placement(lane, chance, holdout, utility, label, confidence)


def headline(output: Output, spec: LoopSpec) -> tuple[str | None, float | None]:
    """The model's label and its confidence. Equally probable labels: the first by name, whatever order they came in.

    Of several labels at once, where only their probabilities are said: those above 0.5, and the chance that all of them
    are right, each by itself.
    """
    if output.probabilities is not None:
        label, share = min(output.probabilities.items(), key=lambda item: (-item[1], item[0]))
        return label, share
    if output.result is not None:
        return results.read(spec.config, output.result, None).label, output.score
    if output.label is None and output.evidence is not None:
        shares = output.evidence["labels"]
        likely = structured.write_labels(label for label, share in shares.items() if share > 0.5)
        return likely, math.prod(max(share, 1.0 - share) for share in shares.values())
    return structured.text(output.label), output.confidence


def reason_for(
    spec: LoopSpec,
    probabilities: Mapping[str, float] | None,
    evidence: Mapping[str, Any] | None,
    confidence: float | None,
) -> str:
    """What the utility of an output of the rule lane rests on, in words, while no version of ours has ranked it.

    Labels that the loop had when the output came, and has no more, count too.
    """
    strategy = spec.queue.strategy
    if strategies.get(strategy).reads.removeprefix("evidence.") in (evidence or ()):
        return why.of_evidence(strategy, evidence or {})
    if probabilities is not None:
        names = (*spec.labels, *sorted(probabilities.keys() - set(spec.labels)))
        if strategy != strategies.RANDOM and not strategies.reads_probabilities(strategy):
            strategy = FALLBACK
        return why.why(strategy, [probabilities.get(name, 0.0) for name in names])
    if strategy == strategies.RANDOM:
        return why.DRAWN_AT_RANDOM
    return why.of_confidence(confidence)


def announced_lane(lane: Lane, spec: LoopSpec) -> Lane:
    """The lane that people are told of. Gold does not give itself away: it says what some other outputs here say."""
    if lane != Lane.GOLD:
        return lane
    queue = spec.queue
    drawn = {
        Lane.HOLDOUT: spec.holdout * queue.holdout,
        Lane.AUDIT: spec.audit * queue.audit,
        Lane.CONTROL: queue.control,
    }
    return next((lane for lane, share in drawn.items() if share), Lane.RULE)


def _facts(output: Output, spec: LoopSpec, label: str | None, confidence: float | None) -> Facts:
    margin = entropy = None
    if output.probabilities is not None:
        first, second = single.two_highest(output.probabilities.values())
        margin = first - second
        entropy = single.entropy(output.probabilities.values(), _n_labels(output.probabilities, spec))
    return Facts(confidence, margin, entropy, label, output.model_version)


def _utility(output: Output, spec: LoopSpec, confidence: float | None) -> float:
    """By the loop's strategy. Where it reads evidence that the output lacks: the margin of its probabilities, or
    1 - confidence without them.

    Where the model said neither, nearly 1, and among themselves by chance, so that the first ones are a fair sample.
    """
    strategy = spec.queue.strategy
    if strategy == strategies.RANDOM:
        return unit_hash("order", spec.name, output.key)
    if output.evidence is not None:
        found = strategies.from_evidence(strategy, output.evidence, spec.labels)
        if found is not None:
            return found
    if output.probabilities is not None:
        if not strategies.reads_probabilities(strategy):
            strategy = FALLBACK
        shares = output.probabilities.values()
        return min(1.0, max(0.0, single.of_row(strategy, shares, _n_labels(output.probabilities, spec))))
    if confidence is not None:
        return 1.0 - confidence
    return 1.0 - UNKNOWN * unit_hash("order", spec.name, output.key)


def _n_labels(probabilities: Mapping[str, float], spec: LoopSpec) -> int:
    """A label of the loop that was not named has probability 0."""
    return len(spec.labels or probabilities)
