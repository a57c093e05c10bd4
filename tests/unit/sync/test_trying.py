"""Outputs that are tried come to the lane that the intake gives them, with the reason in words."""

from __future__ import annotations

import json
from typing import Any

from labelloop.spec.folder import parse
from sync.intake.taking import Line, read
from sync.intake.trying import Tried, tried

SPEC = parse(
    "pets",
    """feedback_loop:
  trigger: model_confidence < 0.7 or (label == 'cat' and data.n > 3)
  labels: [cat, dog]
  audit: 0.3
  holdout: 0.3
  queue: {control: 0.3}
""",
)


def line(number: int, key: str, p: float = 0.9, **changes: Any) -> Line:
    said = {"key": key, "data": {"text": "x"}, "probabilities": {"cat": p, "dog": 1 - p}, **changes}
    return number, json.dumps({name: value for name, value in said.items() if value is not ...}).encode()


def by_lane(found: list[Tried]) -> dict[str | None, list[Tried]]:
    return {lane: [one for one in found if one.lane == lane] for lane in {one.lane for one in found}}


def test_the_lane_is_that_of_the_intake_and_the_reason_names_what_chose_it() -> None:
    lines = [line(i, f"k/{i}", 0.6 if i % 2 else 0.9) for i in range(200)]
    found = list(tried(SPEC, lines))
    rows = read(SPEC, lines).rows
    assert [(one.key, one.lane, one.asked) for one in found] == [
        (key, row.placement.lane, row.placement.lane != "pass") for key, row in rows.items()
    ]
    lanes = by_lane(found)
    assert {one.why for one in lanes["rule"]} == {"the trigger sends it: model_confidence < 0.7"}
    assert all("the number of its key, 0." in one.why and "is below audit 0.3" in one.why for one in lanes["audit"])
    assert all("is below queue.control 0.3; the trigger sends it: " in one.why for one in lanes["control"])
    assert {one.why.partition("; ")[2][:23] for one in lanes["holdout"]} == {
        "the trigger sends it: m", "the trigger does not se"
    }  # fmt: skip
    assert {one.why for one in lanes["pass"]} == {
        "the trigger does not send it, and neither holdout 0.3 nor audit 0.3 draws it"
    }


def test_each_part_that_holds_is_named_and_no_confidence_and_gold_say_so() -> None:
    spec = SPEC.model_copy(update={"holdout": 0.0, "queue": SPEC.queue.model_copy(update={"control": 0.0})})
    lines = [
        line(1, "a", 0.6, data={"text": "x", "n": 4}),
        line(2, "b", data={"text": "x", "n": 4}),
        line(3, "c", probabilities=..., label="cat"),
        line(4, "d", gold="dog"),
    ]
    assert [(one.lane, one.why) for one in tried(spec, lines)] == [
        ("rule", "the trigger sends it: model_confidence < 0.7 or label == 'cat' and data.n > 3"),
        ("rule", "the trigger sends it: label == 'cat' and data.n > 3"),
        ("rule", "the model gave no confidence"),
        ("gold", "it comes with a known answer, which checks people"),
    ]
    [grouped] = tried(SPEC.model_copy(update={"holdout": 0.999}), [line(1, "a", group="g")])
    assert "the number of its group" in grouped.why


def test_a_line_that_the_intake_would_refuse_says_why_and_stops_no_other() -> None:
    lines = [(1, b"{"), line(2, "a"), line(3, "b", 1.5), line(4, "a", 0.8), line(5, "a"), line(6, "c", data={})]
    found = list(tried(SPEC, lines))
    assert [(one.line, one.key, one.lane is None) for one in found] == [
        (1, None, True), (2, "a", False), (3, "b", True), (4, "a", True), (5, "a", False), (6, "c", True),
    ]  # fmt: skip
    assert found[3].why == "refused: line 2 has this key with another body"
    assert found[2].why.startswith("refused: probabilities.cat: must lie between")


def test_a_line_with_the_content_of_an_earlier_one_is_asked_once_if_the_loop_reuses_answers() -> None:
    spec = SPEC.model_copy(update={"reuse_answers": True, "audit": 0.0, "holdout": 0.0, "trigger": "label == 'cat'"})
    lines = [
        line(1, "sure", 0.1), line(2, "a", 0.9), line(3, "b", 0.8), line(4, "surer", 0.05),
        line(5, "c", 0.9, data={"text": "y"}), line(6, "a", 0.9),
    ]  # fmt: skip
    found = list(tried(spec, lines))
    assert [one.asked for one in found] == [False, True, False, False, True, True]
    assert "the answer of line 2" in found[2].why
    assert "the answer of line 2" in found[3].why
    assert [one.asked for one in tried(SPEC.model_copy(update={"trigger": "label == 'cat'"}), lines[1:3])] == [True] * 2
