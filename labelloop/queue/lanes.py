"""Lanes: the decision whether people see an output, and why. It is made once, at intake, by hashes and the trigger.

gold      it came with a known answer and checks people; it never trains or judges a model, whatever its group
holdout   by a hash of the group key, whatever the trigger decides: it judges models and never trains one
rule      the trigger sends it, or the model gave no confidence; with `accept` in loop.yaml also all that neither the
          trigger nor chance sends. A certificate may then accept it unseen (labelloop/gate/accept.py)
control   by a hash of the key: a random share of what the rule sends. It goes to people too, but is never ranked. Its
          answers show what a random order would have brought
audit     by a hash of the key: a random share of the outputs that the trigger does not send
pass      nobody sees it

A new lane also needs a value of the SQL type `lane`, in a migration. If people see it, it needs a place in LANES
(queue/order.py) and a share of the window (spec/sections.py). If it is not ranked, it needs a reason in `_DRAWN`
(queue/tasks.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

from labelloop import strategies
from labelloop.labeling import kinds, results
from labelloop.outputs.output import Output, unit_hash
from labelloop.queue import why
from labelloop.spec.loop import LoopSpec
from labelloop.spec.trigger import Facts, Trigger
from labelloop.strategies import controls, single


class Lane(StrEnum):
    """Reason for which people see an output, or do not; the docstring of this file explains each."""

    RULE = "rule"
    CONTROL = "control"
    AUDIT = "audit"
    HOLDOUT = "holdout"
    GOLD = "gold"
    PASS = "pass"


FALLBACK = "margin"
"""The strategy for an output that lacks the evidence which the loop's own strategy reads."""
UNKNOWN = 1e-3
"""Largest difference between the utilities of outputs without confidence and probabilities."""


class Placement(NamedTuple):
    lane: Lane
    triggered: bool | None
    """Whether the trigger sends the output, whatever its lane: the stratum of estimates (answers/error_rate.py). None
    for gold, which is in no stratum.
    """
    inclusion_probability: float | None
    """Probability, 0 to 1, with which chance alone chooses an output of this stratum for people, in any lane. None in
    the rule lane, where rank chooses, and in the gold lane.

    It is the probability of an answer only once nothing waits: use answers/error_rate.py, which does not need it.
    """
    holdout: bool
    utility: float | None
    """Utility, 0 to 1; None if nobody sees it. In every lane except rule it is a random number, so that the lane stays
    unbiased.
    """
    label: str | None
    confidence: float | None


def place(output: Output, spec: LoopSpec, sends: Trigger | None = None) -> Placement:
    """Return the lane of an output. `sends` is the compiled trigger, if the caller already has it."""
    label, confidence = headline(output, spec)
    gold = output.gold is not None
    triggered = None if gold else (sends or spec.sends)(facts_of(output, spec, label, confidence))
    holdout = not gold and draw(Lane.HOLDOUT, output, spec) < spec.holdout
    if gold:
        lane = Lane.GOLD
    elif holdout:
        lane = Lane.HOLDOUT
    elif triggered:
        lane = Lane.CONTROL if draw(Lane.CONTROL, output, spec) < spec.queue.control else Lane.RULE
    elif draw(Lane.AUDIT, output, spec) < spec.audit:
        lane = Lane.AUDIT
    else:
        lane = Lane.PASS if spec.accept is None else Lane.RULE
    utility = utility_in(lane, output, spec, confidence)
    chance = None
    if lane not in (Lane.RULE, Lane.GOLD):
        chance = spec.holdout + (1.0 - spec.holdout) * (spec.queue.control if triggered else spec.audit)
    return Placement(lane, triggered, chance, holdout, utility, label, confidence)


def only_without_certificate(placed: Placement) -> bool:
    """Whether people see an output of a loop with `accept` only as long as no certificate covers it."""
    return placed.lane == Lane.RULE and not placed.triggered


def utility_in(lane: Lane, output: Output, spec: LoopSpec, confidence: float | None) -> float | None:
    """Return the utility of an output in this lane, as in Placement; `confidence` is that of `headline`."""
    if lane == Lane.RULE:
        return _utility(output, spec, confidence)
    return None if lane == Lane.PASS else unit_hash("order", spec.name, output.key)


def draw(lane: Lane, output: Output, spec: LoopSpec) -> float:
    """Return the number in [0, 1) that chance drew for this output: it is in the lane if it is below the lane's share.

    Outputs of one group have one number for the hold-out set.
    """
    return unit_hash(lane, spec.name, output.group_key if lane == Lane.HOLDOUT else output.key)


def headline(output: Output, spec: LoopSpec) -> tuple[str | None, float | None]:
    """Return the model's label and its confidence. If several labels are equally probable, the first by name is used.

    For several labels at once, given only by probabilities, these are the labels above 0.5. Their confidence is the
    chance that all of them are correct, each independent of the others.
    """
    if output.probabilities is not None:
        share = max(output.probabilities.values())
        return min([label for label, one in output.probabilities.items() if one == share]), share
    if output.result is not None:
        return results.read(spec.config, output.result, None, output.data).label, output.score
    if output.label is None and output.evidence is not None:
        shares = output.evidence["labels"]
        likely = kinds.labels.write_labels(label for label, share in shares.items() if share > 0.5)
        return likely, math.prod(max(share, 1.0 - share) for share in shares.values())
    return kinds.as_text(output.label), output.confidence


def facts_of(output: Output, spec: LoopSpec, label: str | None, confidence: float | None) -> Facts:
    """Return what the trigger can read; `label` and `confidence` are those of `headline`.

    Margin and entropy take long, so they are left out if the trigger does not name them.
    """
    margin = entropy = None
    if output.probabilities is not None and _may_name("margin", spec):
        first, second = single.two_highest(output.probabilities.values())
        margin = first - second
    if output.probabilities is not None and _may_name("entropy", spec):
        entropy = single.entropy(output.probabilities.values(), _n_labels(output.probabilities, spec))
    probabilities = output.probabilities
    if probabilities is None and output.evidence is not None:
        probabilities = output.evidence.get("labels")  # several labels at once, each with its own
    return Facts(
        confidence,
        margin,
        entropy,
        label,
        output.model_version,
        output.source,
        output.step,
        output.trace,
        output.data,
        output.meta,
        probabilities,
    )


def _may_name(fact: str, spec: LoopSpec) -> bool:
    """Return False if the trigger surely does not name this fact. Python reads some other letters as those of ASCII."""
    return fact in spec.trigger or not spec.trigger.isascii()


def reason_for(
    spec: LoopSpec,
    probabilities: Mapping[str, float] | None,
    evidence: Mapping[str, Any] | None,
    confidence: float | None,
    label: str | None = None,
) -> str:
    """Return the reason for the utility of an output in the rule lane, before one of our versions has ranked it.

    Labels that the loop had when the output arrived, and has no longer, are included.
    """
    strategy = spec.queue.strategy
    if strategy != strategies.RANDOM and evidence is not None and "controls" in evidence:
        return why.of_controls(controls.by_control(strategy, evidence["controls"]), spec.queue.control_weight)
    if strategies.get(strategy).reads.removeprefix("evidence.") in (evidence or ()):
        return why.of_evidence(strategy, evidence or {}, spec.labels)
    if probabilities is not None:
        names = (*spec.labels, *sorted(probabilities.keys() - set(spec.labels)))
        if strategy != strategies.RANDOM and not strategies.reads_probabilities(strategy):
            strategy = FALLBACK
        return why.why(strategy, [probabilities.get(name, 0.0) for name in names], names)
    if strategy == strategies.RANDOM:
        return why.CHOSEN_AT_RANDOM
    return why.of_confidence(confidence, label)


def announced_lane(lane: Lane, spec: LoopSpec) -> Lane:
    """Return the lane that people are told. Gold must not be recognizable: it gets the lane of some other random
    outputs.
    """
    if lane != Lane.GOLD:
        return lane
    queue = spec.queue
    drawn = {
        Lane.HOLDOUT: spec.holdout * queue.holdout,
        Lane.AUDIT: spec.audit * queue.audit,
        Lane.CONTROL: queue.control,
    }
    return next((lane for lane, share in drawn.items() if share), Lane.RULE)


def _utility(output: Output, spec: LoopSpec, confidence: float | None) -> float:
    """Return the utility by the loop's strategy.

    If the strategy reads evidence that the output lacks, it is the margin of the probabilities, or 1 - confidence
    without them. Without either it is nearly 1, with a small random part, so that the first of these outputs are a fair
    sample.
    """
    strategy = spec.queue.strategy
    if strategy == strategies.RANDOM:
        return unit_hash("order", spec.name, output.key)
    if output.evidence is not None and "controls" in output.evidence:
        return controls.joined(controls.by_control(strategy, output.evidence["controls"]), spec.queue.control_weight)
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
    """Return the number of labels; a label of the loop that the output does not name has probability 0."""
    return len(spec.labels or probabilities)
