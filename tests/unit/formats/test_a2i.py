"""Amazon A2I: activation conditions as a trigger that decides the same, and what a trigger cannot say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from console.cli import main
from labelloop.errors import InvalidOutput
from labelloop.outputs.formats import a2i
from labelloop.outputs.output import Output
from labelloop.queue import lanes
from labelloop.spec.folder import parse
from tests.support.data.imported import FOLDER

FLOW = FOLDER / "a2i.json"
LOOP = """# ours
feedback_loop:
  trigger: "model_confidence < 0.8"  # the old rule
  labels: [approve, reject]
  audit: 0.1
  holdout: 0
"""


def moderation(**bounds: Any) -> dict[str, Any]:
    return {"ConditionType": "ModerationLabelConfidenceCheck", "ConditionParameters": bounds}


def form_key(**bounds: Any) -> dict[str, Any]:
    return {"ConditionType": "ImportantFormKeyConfidenceCheck", "ConditionParameters": bounds}


SAMPLING = {"ConditionType": "Sampling", "ConditionParameters": {"RandomSamplingPercentage": 3}}


def sends(trigger: str, output: Output) -> bool:
    spec = parse(
        "flow",
        f"feedback_loop: {{trigger: {json.dumps(trigger)}, labels: [a, Suggestive, Nudity], holdout: 0, audit: 0}}",
    )
    return lanes.place(output, spec).triggered is True


def test_a_moderation_check_sends_what_a2i_sends() -> None:
    rule = a2i.read(
        {"Conditions": [moderation(ModerationLabelName="Suggestive", ConfidenceGreaterThan=50, ConfidenceLessThan=98)]}
    )
    assert rule.trigger == 'label == "Suggestive" and model_confidence > 0.5 and model_confidence < 0.98'
    assert rule.left_out == []
    for label, confidence, sent in (("Suggestive", 0.7, True), ("Suggestive", 0.99, False), ("Nudity", 0.7, False)):
        assert sends(rule.trigger, Output("k", {"text": ""}, label=label, confidence=confidence)) is sent


def test_a_form_key_is_found_under_each_alias() -> None:
    rule = a2i.read(json.loads(FLOW.read_text()))
    assert rule.trigger is not None
    assert rule.audit == 0.05
    assert [place for place, _ in rule.left_out] == ["Conditions[0].Or[1]"]
    assert "a missing pair is no output" in rule.left_out[0][1]

    def output(key: str, confidence: float, word: float) -> Output:
        return Output("k", {"key": key}, label="a", confidence=confidence, meta={"word_confidence": word})

    assert sends(rule.trigger, output("Mailing Add:", 0.5, 0.5))
    assert not sends(rule.trigger, output("Mailing Add:", 0.95, 0.5))
    assert not sends(rule.trigger, output("Mailing Add:", 0.5, 0.9))
    assert not sends(rule.trigger, output("Name", 0.5, 0.5))


def test_any_key_and_several_conditions_are_joined_by_or() -> None:
    rule = a2i.read(
        {
            "Conditions": [
                form_key(ImportantFormKey="*", KeyValueBlockConfidenceLessThan=90),
                moderation(ModerationLabelName="*", ConfidenceLessThanEquals=40),
            ]
        }
    )
    assert rule.trigger == "(model_confidence < 0.9)\nor (model_confidence <= 0.4)"


@pytest.mark.parametrize(
    ("condition", "place", "says"),
    [
        ({"And": [moderation(ConfidenceLessThan=9), SAMPLING]}, "Conditions[0].And[1]", "no chance in it"),
        ({"ConditionType": "NewCheck", "ConditionParameters": {}}, "Conditions[0]", "'NewCheck' is not known"),
        (moderation(ModerationLabelName="x"), "Conditions[0]", "no bound"),
        (moderation(ConfidenceLessThan=900), "Conditions[0]", "0 to 100"),
        (moderation(ConfidenceBelow=9), "Conditions[0]", "ConfidenceBelow"),
        ({"Or": []}, "Conditions[0]", "list of conditions"),
    ],
)  # fmt: skip
def test_what_a_trigger_cannot_say_is_named(condition: dict[str, Any], place: str, says: str) -> None:
    rule = a2i.read({"Conditions": [condition]})
    assert rule.trigger is None
    assert rule.left_out[-1][0] == place
    assert says in rule.left_out[0][1]


def test_a_flow_without_conditions_is_told() -> None:
    with pytest.raises(InvalidOutput, match="own model has none"):
        a2i.read({"FlowDefinitionName": "x", "HumanLoopConfig": {}})


def test_the_command_prints_a_rule_that_a_loop_accepts() -> None:
    result = CliRunner().invoke(main, ["import", "a2i", str(FLOW)])
    assert result.exit_code == 1
    assert "left out: Conditions[0].Or[1]" in result.stderr
    spec = parse("flow", result.stdout + "  labels: [a, b]\n")
    assert spec.audit == 0.05
    assert spec.trigger.startswith('data.key in ["Mail address", "Mail Address:", "Mailing Add:"]')


def test_the_command_changes_a_loop_and_nothing_else_in_it(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.write_text(LOOP)
    assert CliRunner().invoke(main, ["import", "a2i", str(FLOW), "--into", str(path)]).exit_code == 1
    text = path.read_text()
    assert text.startswith("# ours\n")
    assert "# the old rule" in text
    spec = parse("flow", text)
    assert (spec.audit, spec.holdout, spec.labels) == (0.05, 0, ("approve", "reject"))
    assert spec.trigger.startswith("data.key in")
    several = tmp_path / "flow.json"
    several.write_text(
        json.dumps({"Conditions": [moderation(ConfidenceLessThan=20), moderation(ConfidenceGreaterThan=95)]})
    )
    done = CliRunner().invoke(main, ["import", "a2i", str(several), "--into", str(path)])
    assert done.exit_code == 0
    assert "in place of: " + json.dumps(spec.trigger) in done.stderr
    assert parse("flow", path.read_text()).trigger == "(model_confidence < 0.2)\nor (model_confidence > 0.95)"


@pytest.mark.parametrize(
    ("condition", "status", "says"),
    [
        (moderation(ModerationLabelName="Suggestive", ConfidenceLessThan=98), 2, "no label 'Suggestive'"),
        (moderation(ConfidenceLessThan=130), 1, "is left as it is: no condition of the flow can be expressed"),
        ({"Or": [moderation(ConfidenceLessThan=130)]}, 1, "1 condition cannot be expressed"),
    ],
)
def test_the_command_leaves_a_loop_alone_that_cannot_have_the_rule(
    tmp_path: Path, condition: dict[str, Any], status: int, says: str
) -> None:
    path, flow = tmp_path / "loop.yaml", tmp_path / "flow.json"
    path.write_text(LOOP)
    flow.write_text(json.dumps({"Conditions": [condition]}))
    done = CliRunner().invoke(main, ["import", "a2i", str(flow), "--into", str(path)])
    assert done.exit_code == status
    assert says in done.stderr
    assert "has the trigger" not in done.stderr
    assert path.read_text() == LOOP
