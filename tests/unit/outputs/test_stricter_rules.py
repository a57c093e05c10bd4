"""A stricter rule never sends fewer: over the lanes of real outputs, not only over the expression."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from labelloop.outputs.output import Output
from labelloop.outputs.reading import parse
from labelloop.queue.lanes import Lane, place
from labelloop.spec.loop import LoopSpec
from tests.support.data.outputs import SPEC

SHARES = st.integers(0, 100).map(lambda n: n / 100)


@dataclass(frozen=True)
class Bound:
    """A comparison whose bound can only be raised or only be lowered to send more."""

    side: str
    operator: str
    at: float
    raised: float

    def text(self, stricter: bool) -> str:
        at = self.at + (self.raised if stricter else 0.0)
        if self.operator in ("<", "<="):
            return f"{self.side} {self.operator} {min(at, 1.0)}"
        least = max(self.at - (self.raised if stricter else 0.0), 0.0)
        negated = {">": "<=", ">=": "<"}[self.operator]
        return f"not ({self.side} {negated} {least})"


Rule = Bound | tuple[str, "Rule", "Rule"]
LOW = ["model_confidence", "margin", "probabilities['cat']", "data.x", "meta.x.y", "model_confidence + data.x / 9"]
HIGH = ["entropy", "data.x", "probabilities['dog']", "1 / data.x", "-data.x"]
BOUNDS = st.one_of(
    st.builds(Bound, st.sampled_from(LOW), st.sampled_from(["<", "<="]), SHARES, SHARES),
    st.builds(Bound, st.sampled_from(HIGH), st.sampled_from([">", ">="]), SHARES, SHARES),
)
RULES: st.SearchStrategy[Rule] = st.recursive(
    BOUNDS, lambda inner: st.tuples(st.sampled_from(["and", "or"]), inner, inner), max_leaves=5
)
FORMS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    SHARES.map(lambda p: {"probabilities": {"cat": p, "dog": 1 - p}}),
    SHARES.map(lambda p: {"label": "cat", "confidence": p}),
    st.just({"label": "cat"}),
    SHARES.map(lambda p: {"probabilities": {"cat": p, "dog": 1 - p}, "gold": "cat"}),
)
FIELDS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}), st.fixed_dictionaries({"x": st.sampled_from([None, 0, 0.3, 0.7, 5, "0.3", True, []])})
)


def output(form: dict[str, Any], x: dict[str, Any], meta: dict[str, Any], key: int) -> Output:
    said = {"key": f"k/{key}", "data": {"text": "hi", **x}, "meta": {"x": {"y": meta.get("x")}}, **form}
    return parse(json.dumps(said).encode())


OUTPUTS = st.lists(st.builds(output, FORMS, FIELDS, FIELDS, st.integers(0, 10**6)), min_size=5, max_size=30)


def text(rule: Rule, stricter: bool) -> str:
    if isinstance(rule, Bound):
        return rule.text(stricter)
    joint, one, other = rule
    return f"({text(one, stricter)}) {joint} ({text(other, stricter)})"


def with_trigger(trigger: str, audit: float, holdout: float, control: float) -> LoopSpec:
    queue = SPEC.queue.model_copy(update={"control": control})
    return SPEC.model_copy(update={"trigger": trigger, "audit": audit, "holdout": holdout, "queue": queue})


def sent(outputs: list[Output], spec: LoopSpec) -> list[bool]:
    return [place(one, spec).lane != Lane.PASS for one in outputs]


@pytest.mark.slow
@settings(max_examples=300)
@given(RULES, BOUNDS, OUTPUTS, SHARES, SHARES, SHARES, SHARES)
def test_a_stricter_rule_never_sends_fewer(
    rule: Rule, more: Bound, outputs: list[Output], audit: float, more_audit: float, holdout: float, control: float
) -> None:
    holdout /= 2
    before = sent(outputs, with_trigger(text(rule, False), audit / 2, holdout, control))
    strict = text(rule, True)
    for trigger in (strict, f"({text(rule, False)}) or {more.text(False)}", f"{more.text(False)} or ({strict})"):
        for shares in ((audit / 2, holdout, control), ((audit + more_audit) / 2, min(0.99, holdout * 2), 1 - control)):
            after = sent(outputs, with_trigger(trigger, *shares))
            assert all(now for was, now in zip(before, after, strict=True) if was)
            event(f"sends more: {after != before}")


@given(RULES, OUTPUTS)
def test_an_output_without_confidence_is_sent_by_every_rule(rule: Rule, outputs: list[Output]) -> None:
    placed = [place(one, with_trigger(text(rule, False), 0.0, 0.0, 0.0)) for one in outputs]
    assert all(p.lane in (Lane.RULE, Lane.GOLD) for p in placed if p.confidence is None)
