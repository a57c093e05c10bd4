"""Say in words why an output is in its lane. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from labelloop.outputs.output import Output
from labelloop.queue.lanes import Lane, Placement, draw, facts_of
from labelloop.spec.loop import LoopSpec
from labelloop.spec.trigger import Part


def explain(output: Output, placed: Placement, spec: LoopSpec, parts: Sequence[Part]) -> str:
    """Return the reason for the lane: the part of the trigger that sends the output, or the number that chance drew.

    `parts` are those of the loop's trigger.
    """
    if placed.lane == Lane.GOLD:
        return "it comes with a known answer, which checks people"
    sent = _of_trigger(output, placed, spec, parts)
    drawn = {
        Lane.HOLDOUT: ("for the hold-out set", "holdout", spec.holdout),
        Lane.CONTROL: ("as control, which is never ranked", "queue.control", spec.queue.control),
        Lane.AUDIT: ("for the audit", "audit", spec.audit),
    }
    if placed.lane == Lane.RULE:
        return sent if placed.triggered else f"{sent}, but nothing passes unseen unless a certificate accepts it"
    if placed.lane == Lane.PASS:
        return f"{sent}, and neither holdout {spec.holdout:g} nor audit {spec.audit:g} draws it"
    what, key, share = drawn[placed.lane]
    number = draw(placed.lane, output, spec)
    whose = "group" if placed.lane == Lane.HOLDOUT and output.group else "key"
    return f"drawn {what}: the number of its {whose}, {number:.4f}, is below {key} {share:g}; {sent}"


def _of_trigger(output: Output, placed: Placement, spec: LoopSpec, parts: Sequence[Part]) -> str:
    if placed.confidence is None:
        return "the model gave no confidence"
    if not placed.triggered:
        return "the trigger does not send it"
    facts = facts_of(output, spec, placed.label, placed.confidence)
    return "the trigger sends it: " + " or ".join(part.text for part in parts if part.holds(facts))
