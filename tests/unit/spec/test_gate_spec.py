"""The gate's keys in loop.yaml: which rule they mean, and which do not go together."""

from __future__ import annotations

import json
import re

import pytest

from labelloop.errors import SpecError
from labelloop.spec.folder import parse
from labelloop.spec.loop import LoopSpec


def gate_yaml(gate: dict[str, object]) -> str:
    return f'feedback_loop:\n  trigger: "model_confidence < 0.8"\n  gate: {json.dumps(gate)}\n'


@pytest.mark.parametrize(
    ("given", "rule", "reuse"),
    [
        ({}, "expected_loss", "share"),
        ({"alpha": 0.2}, "exact", "share"),
        ({"reuse": "bound"}, "exact", "bound"),
        ({"rule": "joint"}, "joint", "bound"),
        ({"rule": "joint", "alpha": 0.01}, "joint", "bound"),
        ({"max_loss": 0.01}, "expected_loss", "share"),
    ],
)
def test_the_gate_follows_the_rule_that_its_keys_name(given: dict[str, object], rule: str, reuse: str) -> None:
    spec = parse("x", gate_yaml(given))
    assert (spec.gate.rule_in_force, spec.gate.reuse_of_answers) == (rule, reuse)
    assert LoopSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            {"rule": "expected_loss", "alpha": 0.05},
            "gate.alpha: belongs to rule: exact or joint; the rule is expected_loss",
        ),
        ({"alpha": 0.05, "max_loss": 0.01}, "gate.max_loss: belongs to rule: expected_loss; the rule is exact"),
        ({"rule": "joint", "reuse": "share"}, "gate.reuse: belongs to rule: exact; the rule is joint"),
        ({"rule": "posterior"}, "should be 'expected_loss', 'exact' or 'joint'"),
        ({"max_loss": 0}, "greater than 0"),
    ],
)
def test_a_key_of_another_rule_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(SpecError, match=re.escape(says)):
        parse("x", gate_yaml(given))


def test_a_loop_that_an_older_labelloop_stored_keeps_its_exact_test() -> None:
    stored = parse("x", gate_yaml({})).to_json()
    stored["gate"] = {"min_holdout": 20, "alpha": 0.05, "reuse": "share", "min_gain": 0.0, "floor": 0.02}
    assert LoopSpec.from_json(stored).gate.rule_in_force == "exact"
